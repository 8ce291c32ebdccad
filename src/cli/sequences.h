// The token sequences a model is evaluated on: from a file of ids, or a text.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace duan::cli {

struct SequenceOptions {
  std::string ids_file, text_file;  // one of them
  int64_t window = 0;               // 0: a flat list whole, a text in windows of kTextWindow or what the context holds
  int64_t max_tokens = 0;           // 0: all
};

inline constexpr int64_t kTextWindow = 2048;  // as most papers on quantization measure perplexity

void add_sequence_options(CLI::App& command, SequenceOptions& options);

// `tokenizer_folder` is where the text's tokenizer is; special tokens a tokenizer puts around a text stand around the
// whole of it, not around each window. Throws Error naming the file, CLI::ValidationError if not just one file is
// given.
std::vector<std::vector<int64_t>> read_sequences(const SequenceOptions& options,
                                                 const std::filesystem::path& tokenizer_folder, int64_t context);

int64_t count_tokens(const std::vector<std::vector<int64_t>>& sequences);

}  // namespace duan::cli
