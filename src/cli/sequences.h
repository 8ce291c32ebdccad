// The token sequences a model is evaluated on: from a file of ids, a text, or dialogues.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "eval/predicted.h"

namespace duan::cli {

struct SequenceOptions {
  std::string ids_file, text_file, chat_file;  // one of them
  std::string think = "auto";                  // of dialogues
  int64_t window = 0;      // 0: a flat list whole, a text in windows of kTextWindow or what the context holds
  int64_t max_tokens = 0;  // 0: all
};

struct Sequences {
  std::vector<std::vector<int64_t>> ids;
  eval::Predicted predicted;  // of dialogues; else empty

  int64_t tokens() const;
  int64_t predicted_tokens() const;
};

inline constexpr int64_t kTextWindow = 2048;  // as most papers on quantization measure perplexity

void add_sequence_options(CLI::App& command, SequenceOptions& options);

// `folder` is where the tokenizer is, and for dialogues the chat template and what ends an answer. Special tokens a
// tokenizer puts around a text stand around the whole of it, not around each window. Throws Error naming the file,
// CLI::ValidationError if not just one file is given.
Sequences read_sequences(const SequenceOptions& options, const std::filesystem::path& folder, int64_t context);

}  // namespace duan::cli
