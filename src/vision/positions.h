// Where each patch stands: for the vision tower's rotary angles and its table of learned positions.
#pragma once

#include <cstdint>
#include <vector>

#include "vision/preprocessor.h"

namespace duan::vision {

// [grid.patches(), 2]: (y, x) of each patch in the grid, in block-major order: blocks of merge x merge patches row by
// row, and within a block its patches row by row. The frames of a video (t > 1) each repeat them. `grid` has sides
// that are multiples of `merge`.
std::vector<int64_t> patch_positions(const Grid& grid, int64_t merge);

// For each patch the four rows of the table it lies between, and their weights, which sum to 1.
struct TableRows {
  std::vector<int64_t> rows;   // [patches, 4], of a [side * side, width] table
  std::vector<float> weights;  // [patches, 4]
};

// Bilinear, corners on corners, in the order of patch_positions: get_vision_interpolation_indices_and_weights of
// transformers, whose fp32 arithmetic this repeats.
TableRows interpolate_table(const Grid& grid, int64_t table_side, int64_t merge);

}  // namespace duan::vision
