// What an integer matrix product needs of its weight besides the codes, in the form kernels take.
#pragma once

#include <vector>

#include "tensor/weight.h"

namespace duan::engine {

struct Int8Rows {
  std::vector<float> scales;  // [rows]
  std::vector<int32_t> sums;  // [rows] of each row's codes; empty if the input's zero point is 0
};

// Of a weight stored as Int8Channel. Throws Error if its rows are too long for a sum in int32.
Int8Rows int8_rows(const Weight& weight);

}  // namespace duan::engine
