// Which tokens of evaluated sequences count.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace duan::eval {

// For each sequence the positions of the tokens that are predicted, ascending, in [1, its length): an answer in a
// dialogue, what stands before it being read only. Empty: all tokens of every sequence but its first.
using Predicted = std::vector<std::vector<int64_t>>;

// Those of sequence `index`, which has `length` tokens.
std::vector<int64_t> predicted_positions(const Predicted& predicted, size_t index, size_t length);

}  // namespace duan::eval
