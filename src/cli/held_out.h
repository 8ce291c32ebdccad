// duan quantize --evaluate: held-out text that the output is held against the source on.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "base/json.h"
#include "cli/sequences.h"
#include "models/model.h"

namespace duan::cli {

class HeldOut {
 public:
  // By its ending as duan eval reads it: .txt a text, .jsonl dialogues, whose answers count, .json token ids. Throws
  // Error naming the file: it is none of these, or not for this model.
  HeldOut(const std::string& file, const models::Model& model);

  // Both models side by side in fp32: what duan eval kl --json says of them, with "file", "sequences" and "compute".
  // `progress` sees the tokens predicted; it may throw.
  Json evaluate(const models::Model& source, const std::filesystem::path& output, int threads,
                const std::function<void(int64_t done, int64_t total)>& progress) const;

 private:
  std::string name_;
  Sequences sequences_;
};

}  // namespace duan::cli
