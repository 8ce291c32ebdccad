#include "inspect/loader_checks.h"

#include "base/error.h"
#include "checkpoint/config.h"
#include "inspect/loader_config.h"
#include "inspect/loader_tensors.h"

namespace duan::inspect {

std::string_view loader_name(Loader loader) { return loader == Loader::vllm ? "vllm" : "transformers"; }

std::string_view verdict_name(Verdict verdict) {
  return verdict == Verdict::ok ? "ok" : verdict == Verdict::note ? "note" : "FAIL";
}

Json to_json(const LoaderCheck& check) {
  Json json = {{"what", check.what}, {"verdict", verdict_name(check.verdict)}, {"found", check.found}};
  if (check.verdict == Verdict::fail) {
    json["expected"] = check.expected;
    json["advice"] = check.advice;
  }
  return json;
}

std::vector<LoaderCheck> check_for_loader(const std::filesystem::path& folder, const LoaderOptions& options) {
  const std::string file = (folder / "config.json").string();
  Json json = read_json(file, {.max_bytes = 4u << 20, .max_depth = 64});
  if (!json.is_object()) throw Error("is not a JSON object", file);
  const Json quantization = json.contains("quantization_config") ? json["quantization_config"] : Json();
  const bool old_key = json.contains("compression_config") && !json["compression_config"].is_null();
  if (quantization.is_object()) {
    const auto method = json_or<std::string>(quantization, "quant_method", "", file);
    if (method == "awq" || method == "gptq") {
      throw Error(fmt::format("quant_method is \"{}\"; only compressed-tensors is checked", method), file,
                  "rewrite it first: duan convert DIR -o OUT");
    }
  }
  // What the model is, whatever is wrong with the rest.
  json.erase("quantization_config");
  json.erase("compression_config");
  const checkpoint::ModelConfig config = checkpoint::parse_config(json, file);

  LoaderChecks checks;
  checks.require(!old_key, "quantization_config", "in config.json under its own name", "the key compression_config",
                 "quantization_config", "rename it: loaders no longer read the older key");
  const LoaderSchemes schemes = check_config(quantization, options, checks);
  const LoaderModules modules(folder, config, schemes);
  check_tensors(modules, schemes, options, checks);
  const Json& text = json.contains("text_config") ? json["text_config"] : json;
  if (options.loader == Loader::transformers && text.contains("rope_parameters") && !text.contains("rope_theta")) {
    checks.note("rope_theta",
                "only in rope_parameters, which transformers 4.57 does not know: it takes its default theta");
  }
  if (options.loader == Loader::vllm) check_shards(modules, schemes, config, options, checks);
  return std::move(checks.list);
}

}  // namespace duan::inspect
