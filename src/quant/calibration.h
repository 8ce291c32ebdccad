// The texts a model is run on to see its activations.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace duan::quant {

struct CalibrationOptions {
  std::vector<std::filesystem::path> files;
  int64_t samples = 128;  // at most; chosen by the seed
  int64_t tokens = 256;   // of a sample, at most
  uint64_t seed = 0;
};

struct CalibrationSet {
  std::vector<std::vector<int64_t>> samples;  // token ids, none empty; in an order that the ids alone decide
  int64_t tokens() const;                     // of all samples
};

// A file is read by its ending:
//   .jsonl  a sample a line: {"messages": [...]} (rendered with the model's chat template, answers included; "tools"
//           are passed on), {"text": "..."}, {"input_ids": [...]}, a string, or a list of ids
//   .json   a list of such samples; or one flat list of ids, cut into pieces of `tokens`
//   .txt    plain text, cut into pieces of `tokens`
// Samples longer than `tokens` lose their end. The same samples give the same set, however files and lines are
// ordered. Throws Error: a file that cannot be read or is not of these kinds, a line that is wrong (named file:line),
// an id outside [0, vocab), or no usable sample at all (names the files).
CalibrationSet load_calibration(const CalibrationOptions& options, const std::filesystem::path& model_folder,
                                int64_t vocab);

}  // namespace duan::quant
