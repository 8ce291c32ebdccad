// How an answer is made: the flags that run and chat share.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/config.h"
#include "cli/image_options.h"
#include "engine/sampler.h"

namespace duan::cli {

struct GenerationFlags {
  int64_t max_tokens = -1;  // < 0: until the context is full
  std::optional<double> temperature, top_p, min_p, repeat_penalty, presence_penalty, frequency_penalty;
  std::optional<int64_t> top_k;
  std::optional<int64_t> seed;
  bool greedy = false;
  std::vector<std::string> stop_strings;
  std::string stop_ids;
  bool ignore_eos = false;
  std::string system;
  std::string think = "auto";  // on, off, auto
  ImageOptions images;
  bool stats = false;
};

void add_generation_flags(CLI::App& command, GenerationFlags& flags);

// Flags first, then the checkpoint's advice; greedy if neither asks for sampling. Without --seed a random one.
// Throws Error naming a flag out of range.
engine::Sampling sampling_of(const GenerationFlags& flags, const checkpoint::GenerationConfig& advice);

std::vector<int64_t> stop_ids_of(const GenerationFlags& flags, const checkpoint::GenerationConfig& advice);

}  // namespace duan::cli
