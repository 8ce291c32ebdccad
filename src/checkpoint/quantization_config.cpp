#include "checkpoint/quantization_config.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "checkpoint/awq_gptq_config.h"

namespace duan::checkpoint {
namespace {

constexpr size_t kMaxTargets = 100'000;  // an expanded ignore list names every layer
constexpr int64_t kMaxGroupSize = 1 << 20;

[[noreturn]] void refuse(const std::string& key, const Json& value, const std::string& expected,
                         const std::string& where) {
  throw Error(
      fmt::format("\"quantization_config\": \"{}\" is {}, expected {}", key, printable(to_text(value), 60), expected),
      where);
}

bool says_nothing(const Json& value) { return value.is_null() || (value.is_structured() && value.empty()); }

const Json& object_at(const Json& json, const std::string& key, const std::string& where) {
  if (!json.contains(key) || !json[key].is_object()) {
    throw Error(fmt::format("\"quantization_config\": \"{}\" is missing or not an object", key), where);
  }
  return json[key];
}

std::vector<std::string> targets_at(const Json& json, const std::string& key, const std::string& where) {
  std::vector<std::string> targets;
  if (!json.contains(key) || json[key].is_null()) return targets;
  if (!json[key].is_array() || json[key].size() > kMaxTargets) {
    refuse(key, json[key], fmt::format("a list of at most {} names", kMaxTargets), where);
  }
  for (const Json& target : json[key]) {
    if (!target.is_string()) refuse(key, target, "a string", where);
    targets.push_back(target.get<std::string>());
    if (targets.back().starts_with("re:")) Regex(targets.back().substr(3), where);  // must be one
  }
  return targets;
}

// Keys that state nothing we would compute otherwise.
void check_keys(const Json& json, std::initializer_list<std::string_view> read, const std::string& what,
                const std::string& where) {
  constexpr std::array<std::string_view, 5> kHarmless{"observer", "observer_kwargs", "scale_dtype", "zp_dtype",
                                                      "global_compression_ratio"};
  for (const auto& item : json.items()) {
    const std::string& key = item.key();
    const bool known = std::find(read.begin(), read.end(), key) != read.end() ||
                       std::find(kHarmless.begin(), kHarmless.end(), key) != kHarmless.end();
    if (known || says_nothing(item.value())) continue;
    throw Error(fmt::format("\"quantization_config\": \"{}\" of {} is {}, which is not supported", printable(key, 60),
                            what, printable(to_text(item.value()), 60)),
                where);
  }
}

void check_int(const Json& args, std::initializer_list<int64_t> widths, const std::string& what,
               const std::string& where) {
  const auto type = json_or<std::string>(args, "type", "int", where);
  if (type != "int") refuse("type", args["type"], fmt::format("\"int\" for {}", what), where);
  const auto bits = json_or<int64_t>(args, "num_bits", 8, where);
  if (std::find(widths.begin(), widths.end(), bits) == widths.end()) {
    throw Error(fmt::format("\"quantization_config\": {} of {} bits are not supported, only {}", what, bits,
                            fmt::join(widths, " or ")),
                where);
  }
}

void parse_weights(const Json& args, QuantizationScheme& scheme, const std::string& where) {
  check_keys(args, {"num_bits", "type", "symmetric", "strategy", "group_size", "dynamic", "actorder"}, "weights",
             where);
  check_int(args, {4, 8}, "weights", where);
  scheme.bits = static_cast<int>(json_or<int64_t>(args, "num_bits", 8, where));
  scheme.symmetric = json_or<bool>(args, "symmetric", true, where);
  if (args.contains("dynamic") && args["dynamic"] != false && !args["dynamic"].is_null()) {
    refuse("dynamic", args["dynamic"], "false for weights", where);
  }
  const auto actorder = json_or<std::string>(args, "actorder", "weight", where);
  if (actorder != "weight" && actorder != "static") {
    refuse("actorder", args["actorder"], "null, \"weight\" or \"static\": columns in their own order", where);
  }
  // compressed-tensors' own defaults: a group_size means groups; -1 and no strategy mean one scale a row.
  const auto group_size = json_or<int64_t>(args, "group_size", -1, where);
  const auto strategy = json_or<std::string>(args, "strategy", group_size > 0 ? "group" : "channel", where);
  if (strategy == "group") {
    if (group_size < 1 || group_size > kMaxGroupSize) {
      throw Error(fmt::format("\"quantization_config\": \"group_size\" is {}, expected 1 to {} with strategy \"group\"",
                              group_size, kMaxGroupSize),
                  where);
    }
    scheme.group_size = group_size;
  } else if (strategy != "channel") {
    refuse("strategy", args["strategy"], "\"channel\" or \"group\" for weights", where);
  }
}

void parse_input(const Json& args, QuantizationScheme& scheme, const std::string& where) {
  check_keys(args, {"num_bits", "type", "symmetric", "strategy", "dynamic"}, "input_activations", where);
  check_int(args, {8}, "input activations", where);
  scheme.input_symmetric = json_or<bool>(args, "symmetric", true, where);
  const bool dynamic = json_or<bool>(args, "dynamic", false, where);
  const auto strategy = json_or<std::string>(args, "strategy", dynamic ? "token" : "tensor", where);
  if (strategy != (dynamic ? "token" : "tensor")) {
    refuse("strategy", args["strategy"], dynamic ? "\"token\" for dynamic inputs" : "\"tensor\" for static inputs",
           where);
  }
  if (dynamic && !scheme.input_symmetric) refuse("symmetric", args["symmetric"], "true for dynamic inputs", where);
  scheme.input = dynamic ? InputRounding::dynamic : InputRounding::fixed;
}

QuantizationScheme parse_scheme(const Json& group, const std::string& default_format, const std::string& where) {
  if (!group.is_object()) refuse("config_groups", group, "an object", where);
  check_keys(group, {"targets", "weights", "input_activations", "format"}, "a config group", where);
  QuantizationScheme scheme;
  scheme.targets = targets_at(group, "targets", where);
  if (scheme.targets.empty()) throw Error("\"quantization_config\": a config group has no \"targets\"", where);
  parse_weights(object_at(group, "weights", where), scheme, where);
  if (group.contains("input_activations") && !group["input_activations"].is_null()) {
    parse_input(object_at(group, "input_activations", where), scheme, where);
  }
  const auto format = json_or<std::string>(group, "format", default_format, where);
  if (format == "pack-quantized") {
    scheme.packed = true;
    if (scheme.input != InputRounding::none) {
      throw Error("\"quantization_config\": rounded inputs with format \"pack-quantized\" are not supported", where);
    }
  } else if (format == "int-quantized") {
    if (scheme.bits != 8 || scheme.group_size != 0 || !scheme.symmetric) {
      throw Error(
          "\"quantization_config\": format \"int-quantized\" is supported for symmetric 8-bit weights with one "
          "scale per channel only",
          where);
    }
  } else {
    throw Error(fmt::format("\"quantization_config\": format \"{}\" is not supported, expected \"pack-quantized\" or "
                            "\"int-quantized\"",
                            printable(format, 60)),
                where);
  }
  return scheme;
}

bool is_match(const std::string& target, std::string_view module) {
  if (target.starts_with("re:")) return Regex(target.substr(3), "quantization_config").matches_start(module);
  return target == module;
}

}  // namespace

std::string_view storage_name(WeightStorage storage) {
  switch (storage) {
    case WeightStorage::compressed_tensors:
      return "compressed-tensors";
    case WeightStorage::awq:
      return "AutoAWQ";
    case WeightStorage::gptq:
      return "GPTQ";
    case WeightStorage::gptq_v2:
      return "GPTQ v2";
  }
  return "?";
}

const QuantizationScheme* QuantizationConfig::scheme_of(std::string_view module, std::string_view module_class) const {
  for (const std::string& target : ignore) {
    if (target == module_class || is_match(target, module)) return nullptr;
  }
  const auto first = [&](const auto& fits) -> const QuantizationScheme* {
    for (const QuantizationScheme& scheme : schemes) {
      if (std::any_of(scheme.targets.begin(), scheme.targets.end(), fits)) return &scheme;
    }
    return nullptr;
  };
  if (const auto* named = first([&](const std::string& t) { return t == module; })) return named;
  if (const auto* like = first([&](const std::string& t) { return t.starts_with("re:") && is_match(t, module); })) {
    return like;
  }
  return first([&](const std::string& t) { return t == module_class; });
}

QuantizationConfig parse_quantization_config(const Json& json, const std::string& where) {
  if (!json.is_object()) throw Error("\"quantization_config\" is not an object", where);
  const auto method = json_or<std::string>(json, "quant_method", "", where);
  if (method == "awq") return parse_awq_config(json, where);
  if (method == "gptq") return parse_gptq_config(json, where);
  if (method != "compressed-tensors") {
    throw Error(fmt::format("\"quantization_config\": quant_method \"{}\" is not supported by this version, expected "
                            "\"compressed-tensors\", \"awq\" or \"gptq\"",
                            printable(method, 60)),
                where, "use the checkpoint this one was quantized from");
  }
  check_keys(json,
             {"quant_method", "config_groups", "format", "ignore", "quantization_status", "version", "kv_cache_scheme",
              "sparsity_config", "transform_config"},
             "the file", where);
  for (const char* key : {"kv_cache_scheme", "sparsity_config", "transform_config"}) {
    if (json.contains(key) && !says_nothing(json[key])) refuse(key, json[key], "null: it is not supported", where);
  }
  const auto status = json_or<std::string>(json, "quantization_status", "", where);
  if (status != "compressed") {
    throw Error(fmt::format("\"quantization_config\": \"quantization_status\" is \"{}\", expected \"compressed\"",
                            printable(status, 60)),
                where);
  }
  const auto format = json_or<std::string>(json, "format", "", where);
  QuantizationConfig config;
  for (const auto& item : object_at(json, "config_groups", where).items()) {
    config.schemes.push_back(parse_scheme(item.value(), format, where));
  }
  if (config.schemes.empty()) throw Error("\"quantization_config\": \"config_groups\" is empty", where);
  config.ignore = targets_at(json, "ignore", where);
  return config;
}

}  // namespace duan::checkpoint
