// Token ids that another program wrote, as a safetensors file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace duan::quant {

struct TokenIdFile {
  std::vector<std::vector<int64_t>> rows;
  bool flat = false;  // one row that is a list of its own, not a sample
};

// "input_ids" [n, length] or [length] and, if it is there, "attention_mask" of the same shape: 1 for ids that count, 0
// for padding before or after them, which is left out. Both I32 or I64. Throws Error naming the tensor and the place:
// another tensor, type or shape, an id outside [0, vocab), a mask that has other numbers or holes.
TokenIdFile read_token_ids(const std::filesystem::path& file, int64_t vocab);

}  // namespace duan::quant
