// duan bench --generate: one answer token by token, with the KV cache and without.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/model_options.h"

namespace duan::cli {

struct GenerationBench {
  ModelOptions model;
  std::optional<int64_t> tokens;  // default: kGeneratedTokens, or what the model holds after the prompt
  int64_t prompt_tokens = 20;     // random ids
  std::string prompt;             // a text instead
  bool without_kv_cache = false;  // too
  std::string plot;               // SVG file, none if empty
  int repetitions = 1;
  bool json = false;
};

inline constexpr int64_t kGeneratedTokens = 300;

// The options of its own; any of them asks for this benchmark.
std::vector<CLI::Option*> add_generation_bench(CLI::App& command, GenerationBench& options);

void bench_generation(const GenerationBench& options);

}  // namespace duan::cli
