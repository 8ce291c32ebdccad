// The options every command that runs a model shares, and opening the model they name.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/config.h"
#include "engine/engine.h"

namespace duan::cli {

struct ModelOptions {
  std::string model;  // a folder or "demo"
  std::string engine = "auto";
  std::string compute = "auto";
  std::string kv_dtype = "auto";
  int threads = 0;
  int64_t context = 0;  // 0: what the model was made for, at most kDefaultContext
  int64_t chunk = 512;
};

inline constexpr int64_t kDefaultContext = 4096;

void add_model_argument(CLI::App& command, ModelOptions& options);
void add_checkpoint_argument(CLI::App& command, ModelOptions& options);  // where an ONNX folder will not do
void add_engine_options(CLI::App& command, ModelOptions& options);
CLI::Option* add_engine_choice(CLI::App& command, const std::string& flag, std::string& engine,
                               const std::string& what);

// The folder a model argument means: itself, or the demo model that comes with duan. Throws Error if there is none.
std::filesystem::path model_folder(const std::string& model);

// "1,2,3" or "[1, 2, 3]". Throws Error naming the flag.
std::vector<int64_t> parse_ids(const std::string& text, const std::string& flag);

}  // namespace duan::cli
