#include "onnx/export.h"

#include <fmt/format.h>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "cli/progress.h"

namespace duan::cli {
namespace {

struct ExportOptions {
  ModelOptions model;
  std::string folder, precision = "fp32", dialect = "ort", logits = "all";
  bool no_kv_cache = false, overwrite = false, json = false;
  int64_t context = 0;
};

onnx::Options settings(const ExportOptions& o) {
  onnx::Options options;
  options.dialect = *onnx::dialect_from_name(o.dialect);
  options.precision = o.precision == "fp16" ? onnx::Precision::fp16 : onnx::Precision::fp32;
  options.kv_cache = !o.no_kv_cache;
  options.logits = o.logits == "last" ? onnx::Logits::last : onnx::Logits::all;
  options.context = o.context;
  return options;
}

void run_export(const ExportOptions& o) {
  StagedProgress progress;
  const models::Model model = models::Model::open(model_folder(o.model.model));
  const onnx::Export result =
      onnx::export_model(model, o.folder, settings(o), o.overwrite, [&](uint64_t done, uint64_t total) {
        progress.update("weights", "MB", static_cast<int64_t>(done), static_cast<int64_t>(total));
      });
  const double seconds = progress.finish();
  uint64_t bytes = 0;
  for (const onnx::ExportedFile& file : result.files) bytes += file.bytes;

  if (o.json) {
    Json files = Json::array();
    for (const onnx::ExportedFile& file : result.files) files.push_back({{"name", file.name}, {"bytes", file.bytes}});
    fmt::print("{}\n", to_text({{"folder", o.folder},
                                {"dialect", o.dialect},
                                {"precision", o.precision},
                                {"kv_cache", !o.no_kv_cache},
                                {"logits", o.logits},
                                {"context", result.options.context},
                                {"nodes", result.nodes},
                                {"files", files},
                                {"bytes", bytes},
                                {"seconds", seconds}}));
    return;
  }
  for (const onnx::ExportedFile& file : result.files) fmt::print("{:>14}  {}\n", file.bytes, file.name);
  fmt::print("{}: {} nodes, {:.1f} MB in {:.1f} s ({:.0f} MB/s)\n", o.folder, result.nodes,
             static_cast<double>(bytes) * 1e-6, seconds, static_cast<double>(bytes) * 1e-6 / seconds);
}

}  // namespace

void add_export(CLI::App& app) {
  auto o = std::make_shared<ExportOptions>();
  CLI::App* command = app.add_subcommand("export", "Write a model as an ONNX folder, for ONNX Runtime and others");
  add_checkpoint_argument(*command, o->model);
  command->add_option("-o,--output", o->folder, "Folder to write")->required()->type_name("DIR");
  command
      ->add_option("--dialect", o->dialect,
                   "onnx21: elementary operators, for any runtime; onnx23: opset 23's Attention, RMSNormalization, "
                   "RotaryEmbedding; ort: ONNX Runtime's GroupQueryAttention")
      ->check(CLI::IsMember({"onnx21", "onnx23", "ort"}))
      ->capture_default_str();
  command->add_option("--precision", o->precision, "Of activations, KV cache and weights that are not quantized")
      ->check(CLI::IsMember({"fp32", "fp16"}))
      ->capture_default_str();
  command->add_flag("--no-kv-cache", o->no_kv_cache, "Whole sequences in, logits out; no past, no genai_config.json");
  command
      ->add_option("--logits", o->logits,
                   "all: of every position, or as many of the last as the optional input num_logits_to_keep says; "
                   "last: of the last position only")
      ->check(CLI::IsMember({"all", "last"}))
      ->capture_default_str();
  command
      ->add_option("-c,--context,--ctx-size", o->context,
                   "Positions the rotary tables of dialect ort hold (default: the model's)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command->add_flag("--overwrite", o->overwrite, "Replace what an earlier export wrote");
  command->add_flag("--json", o->json, "The result as one JSON object");
  command->footer(
      "Examples:\n"
      "  duan export models/demo -o demo-onnx\n"
      "  duan export Qwen3-1.7B -o out --dialect onnx21 --precision fp16\n"
      "  duan export Qwen3-1.7B -o out --logits last     for ONNX Runtime GenAI: prompts cost less");
  command->callback([o] { run_export(*o); });
}

}  // namespace duan::cli
