#include "cli/model_options.h"

#include <charconv>
#include <filesystem>

#include "base/error.h"

namespace duan::cli {
namespace fs = std::filesystem;

namespace {

void add_folder(CLI::App& command, ModelOptions& options, const std::string& what) {
  command.add_option("model,-m,--model", options.model, what)->required()->type_name("MODEL");
}

}  // namespace

void add_model_argument(CLI::App& command, ModelOptions& options) {
  add_folder(command, options, "Model folder (Hugging Face layout, or ONNX), or 'demo'");
}

void add_checkpoint_argument(CLI::App& command, ModelOptions& options) {
  add_folder(command, options, "Model folder (Hugging Face layout), or 'demo'");
}

CLI::Option* add_engine_choice(CLI::App& command, const std::string& flag, std::string& engine,
                               const std::string& what) {
  return command
      .add_option(flag, engine,
                  what +
                      ": native; reference (op by op, slow); onnx (ONNX Runtime, for a folder made by duan export); "
                      "auto: onnx if the folder holds an ONNX model and no safetensors, else native")
      ->check(CLI::IsMember({"auto", "native", "reference", "onnx"}))
      ->capture_default_str();
}

void add_engine_options(CLI::App& command, ModelOptions& o) {
  add_engine_choice(command, "--engine", o.engine, "What runs the model");
  command
      .add_option("--compute", o.compute,
                  "Precision of activations in matrix products; auto: bf16 or int16 where that is faster and weights "
                  "are bf16 or quantized, else fp32")
      ->check(CLI::IsMember({"auto", "fp32", "int16", "bf16"}))
      ->capture_default_str();
  command.add_option("--kv-dtype", o.kv_dtype, "Precision of the KV cache")
      ->check(CLI::IsMember({"auto", "f32", "bf16"}))
      ->capture_default_str();
  command.add_option("-t,--threads", o.threads, "Threads (default: one per processor)")->check(CLI::Range(1, 1024));
  command
      .add_option("-c,--ctx-size", o.context,
                  fmt::format("Positions of the KV cache (default: the model's, at most {})", kDefaultContext))
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command.add_option("-b,--chunk,--batch-size", o.chunk, "Prompt tokens computed at once")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
}

fs::path model_folder(const std::string& model) {
  std::error_code ignored;
  if (model == "demo" && !fs::exists("demo/config.json", ignored)) {
    // Beside the build tree (build/<preset>/bin/duan) or installed (bin/duan, share/duan/models/demo).
    const fs::path program = fs::read_symlink("/proc/self/exe", ignored).parent_path();
    for (const char* relative : {"../../../models/demo", "../share/duan/models/demo"}) {
      const fs::path folder = (program / relative).lexically_normal();
      if (fs::exists(folder / "config.json", ignored)) return folder;
    }
    throw Error("the demo model is not installed", "demo",
                "it lies in models/demo of duan's sources; name that folder instead");
  }
  if (!fs::is_directory(model, ignored)) {
    throw Error("no such folder", model,
                "MODEL is a folder with config.json and model.safetensors, one that duan export made, or 'demo'");
  }
  return model;
}

std::vector<int64_t> parse_ids(const std::string& text, const std::string& flag) {
  std::vector<int64_t> ids;
  const char* at = text.data();
  const char* end = at + text.size();
  const auto skip = [&] {
    while (at < end && (*at == ' ' || *at == ',' || *at == '[' || *at == ']' || *at == '\n')) ++at;
  };
  for (skip(); at < end; skip()) {
    int64_t id = 0;
    const auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc()) {
      throw Error(fmt::format("\"{}\" is not a token id", printable(std::string_view(at, end), 20)), flag,
                  "give numbers separated by commas: --ids 1,2,3");
    }
    ids.push_back(id);
    at = next;
  }
  return ids;
}

}  // namespace duan::cli
