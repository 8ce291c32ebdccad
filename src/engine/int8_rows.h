// What an integer matrix product needs of its weight besides the codes, in the form kernels take.
#pragma once

#include <vector>

#include "tensor/weight.h"

namespace duan::engine {

// The scales [rows] of a weight stored as Int8Channel. Throws Error if its rows are too long for a sum in int32.
std::vector<float> int8_row_scales(const Weight& weight);

}  // namespace duan::engine
