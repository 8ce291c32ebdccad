#include "cli/model_options.h"

#include <charconv>
#include <filesystem>

#include "base/error.h"

namespace duan::cli {
namespace fs = std::filesystem;

void add_model_argument(CLI::App& command, ModelOptions& options) {
  command.add_option("model,-m,--model", options.model, "Model folder (Hugging Face layout), or 'demo'")
      ->required()
      ->type_name("MODEL");
}

void add_engine_options(CLI::App& command, ModelOptions& o) {
  command.add_option("--engine", o.engine, "native, or reference (op by op, slow)")
      ->check(CLI::IsMember({"native", "reference"}))
      ->capture_default_str();
  command.add_option("--compute", o.compute, "Precision of activations in matrix products")
      ->check(CLI::IsMember({"auto", "fp32", "bf16"}))
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
    throw Error("no such folder", model, "MODEL is a folder with config.json and model.safetensors, or 'demo'");
  }
  return model;
}

std::unique_ptr<engine::Engine> make_engine(const models::Model& model, const ModelOptions& o) {
  engine::Options options;
  options.threads = o.threads;
  options.chunk = o.chunk;
  options.compute = o.compute == "fp32"   ? engine::Compute::fp32
                    : o.compute == "bf16" ? engine::Compute::bf16
                                          : engine::Compute::automatic;
  options.kv_automatic = o.kv_dtype == "auto";
  options.kv_dtype = o.kv_dtype == "bf16" ? DType::bf16 : DType::f32;
  const int64_t trained = model.config.max_position_embeddings;
  if (o.context > trained) {
    throw Error(fmt::format("{} positions, the model was made for {}", o.context, trained), "--ctx-size",
                "choose at most that many, or set rope scaling in config.json as the model's card describes");
  }
  options.context = o.context > 0 ? o.context : std::min(trained, kDefaultContext);
  return o.engine == "reference" ? engine::make_reference(model.graph, model.checkpoint, options)
                                 : engine::make_native(model.graph, model.checkpoint, options);
}

const char* compute_name(engine::Compute compute) { return compute == engine::Compute::bf16 ? "bf16" : "fp32"; }

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
