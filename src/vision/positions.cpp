#include "vision/positions.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"

namespace duan::vision {
namespace {

// Calls visit(y, x) for every patch, in block-major order.
template <class Visit>
void for_each_patch(const Grid& grid, int64_t merge, const Visit& visit) {
  DUAN_CHECK(merge > 0 && grid.h % merge == 0 && grid.w % merge == 0, "grid {} x {}, blocks of {}", grid.h, grid.w,
             merge);
  for (int64_t t = 0; t < grid.t; ++t) {
    for (int64_t block_y = 0; block_y < grid.h; block_y += merge) {
      for (int64_t block_x = 0; block_x < grid.w; block_x += merge) {
        for (int64_t y = block_y; y < block_y + merge; ++y) {
          for (int64_t x = block_x; x < block_x + merge; ++x) visit(y, x);
        }
      }
    }
  }
}

// The two entries of one axis of the table that `index` of `size` lies between, and their weights.
struct Between {
  std::array<int64_t, 2> entries;
  std::array<float, 2> weights;
};

std::vector<Between> between(int64_t size, int64_t side) {
  std::vector<Between> axis;
  for (int64_t index = 0; index < size; ++index) {
    // src = index * (side - 1) / clamp(size - 1, min=1)
    const float at =
        static_cast<float>(index) * static_cast<float>(side - 1) / static_cast<float>(std::max<int64_t>(size - 1, 1));
    const float floor = std::floor(at);
    const auto first = static_cast<int64_t>(floor);
    axis.push_back({{first, std::min(first + 1, side - 1)},
                    {1 - std::abs(at - floor), std::max(0.0f, 1 - std::abs(at - floor - 1))}});
  }
  return axis;
}

}  // namespace

std::vector<int64_t> patch_positions(const Grid& grid, int64_t merge) {
  std::vector<int64_t> positions;
  positions.reserve(static_cast<size_t>(grid.patches() * 2));
  for_each_patch(grid, merge, [&](int64_t y, int64_t x) { positions.insert(positions.end(), {y, x}); });
  return positions;
}

TableRows interpolate_table(const Grid& grid, int64_t table_side, int64_t merge) {
  DUAN_CHECK(table_side > 0, "a table of {} rows", table_side);
  const std::vector<Between> down = between(grid.h, table_side), right = between(grid.w, table_side);
  TableRows table;
  table.rows.reserve(static_cast<size_t>(grid.patches() * 4));
  table.weights.reserve(table.rows.capacity());
  for_each_patch(grid, merge, [&](int64_t y, int64_t x) {
    const Between& h = down[static_cast<size_t>(y)];
    const Between& w = right[static_cast<size_t>(x)];
    for (size_t i = 0; i < 2; ++i) {
      for (size_t j = 0; j < 2; ++j) {
        table.rows.push_back(h.entries[i] * table_side + w.entries[j]);
        table.weights.push_back(h.weights[i] * w.weights[j]);
      }
    }
  });
  return table;
}

}  // namespace duan::vision
