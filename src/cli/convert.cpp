#include "quant/convert.h"

#include <fmt/format.h>

#include <memory>
#include <optional>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "cli/progress.h"
#include "cli/size.h"
#include "cli/terminal.h"
#include "quant/dequantize.h"

namespace duan::cli {
namespace {

struct ConvertCommand {
  ModelOptions model;
  std::string folder, shard_size = "5GB";
  std::string dtype;  // of --dequantize
  bool dequantize = false, overwrite = false, json = false;
};

void print_dequantized(const std::string& folder, const Json& report) {
  fmt::print("{}: {} layers as plain {}\n", folder, report.at("modules").at("quantized").get<int64_t>(),
             report.at("dtype").get<std::string>());
  if (report.at("inputs_were_rounded").get<bool>()) {
    fmt::print("the source rounds inputs of layers to int8, the output does not: their answers differ by that\n");
  }
}

void print_repacked(const std::string& folder, const Json& report) {
  const Json& group = report.at("group_size");
  fmt::print("{}: {} layers of {} bits, {}, {}; {} plain\n", folder,
             report.at("modules").at("quantized").get<int64_t>(), report.at("bits").get<int>(),
             group.is_null() ? "one scale a row" : fmt::format("groups of {}", group.get<int64_t>()),
             report.at("symmetric").get<bool>() ? "symmetric" : "with zero points",
             report.at("modules").at("plain").get<int64_t>());
}

std::optional<DType> dtype_named(const std::string& name) {
  if (name == "bf16") return DType::bf16;
  if (name == "f16") return DType::f16;
  return name == "f32" ? std::optional(DType::f32) : std::nullopt;
}

void run_convert(const ConvertCommand& c) {
  StagedProgress progress;
  quant::ConvertOptions options;
  options.max_shard_bytes = parse_size(c.shard_size, "--max-shard-size");
  options.overwrite = c.overwrite;
  const models::Model model = models::Model::open(model_folder(c.model.model));
  const Interruptible interruptible;
  const auto show = [&](uint64_t done, uint64_t total) {
    if (interrupted()) {
      progress.finish();
      throw Error("interrupted", c.folder, "nothing was written; the same command begins again");
    }
    progress.update("converting", "MB", static_cast<int64_t>(done), static_cast<int64_t>(total));
  };
  Json report = c.dequantize ? quant::dequantize(model, c.folder, dtype_named(c.dtype), options, show)
                             : quant::convert(model, c.folder, options, show);
  const double seconds = progress.finish();
  if (c.json) {
    report["seconds"] = seconds;
    fmt::print("{}\n", to_text(report));
    return;
  }
  const auto megabytes = [&](const char* which) { return report.at("bytes").at(which).get<double>() * 1e-6; };
  c.dequantize ? print_dequantized(c.folder, report) : print_repacked(c.folder, report);
  fmt::print("{} {:.1f} MB to {} {:.1f} MB in {:.1f} s\n", report.at("source").at("format").get<std::string>(),
             megabytes("source"), c.dequantize ? "plain" : "compressed-tensors", megabytes("output"), seconds);
}

}  // namespace

void add_convert(CLI::App& app) {
  auto c = std::make_shared<ConvertCommand>();
  CLI::App* command = app.add_subcommand(
      "convert", "Rewrite a quantized checkpoint: AutoAWQ and GPTQ as compressed-tensors, any as plain");
  add_checkpoint_argument(*command, c->model);
  command->add_option("-o,--output", c->folder, "Folder to write")->required()->type_name("DIR");
  CLI::Option* dequantize = command
                                ->add_option("--dequantize", c->dtype,
                                             "Decode the weights of any quantized checkpoint to plain numbers; without "
                                             "a value, of the dtype that config.json states")
                                ->expected(0, 1)
                                ->check(CLI::IsMember({"bf16", "f16", "f32"}));
  command->add_option("--max-shard-size", c->shard_size, "Of a weight file")->type_name("SIZE")->capture_default_str();
  command->add_flag("--overwrite", c->overwrite, "Replace what an earlier conversion wrote");
  command->add_flag("--json", c->json, "What was written as one JSON object");
  command->footer(
      "The codes, scales and zero points stay what they are; the output's layout (pack-quantized) is the one that "
      "duan\n"
      "maps without work at every start, and that transformers and vLLM load. What that layout cannot hold is "
      "refused.\n"
      "Examples:\n"
      "  duan convert Qwen3-8B-AWQ -o Qwen3-8B-w4a16\n"
      "  duan convert Qwen3-1.7B-GPTQ-Int8 -o out --max-shard-size 2GB --json\n"
      "  duan convert Qwen3-8B-w4a16 -o Qwen3-8B-plain --dequantize bf16\n"
      "  duan verify out --for vllm");
  command->callback([c, dequantize] {
    c->dequantize = dequantize->count() > 0;
    run_convert(*c);
  });
}

}  // namespace duan::cli
