// The specification of linear_int16.h: exact sums of codes, one double per element, ascending over blocks.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/linear_int16_list.h"
#include "kernels/load.h"

namespace duan::kernels {
namespace {

constexpr float kLeast = 0x1p-115f;

struct Block {
  double codes[kInt16Block] = {};
  double scale = 0;
};

// `power`: the scale is a power of two.
Block round_block(const void* values, DType dtype, int64_t first, int64_t count, bool power) {
  Block block;
  float largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float magnitude = std::fabs(load_float(values, dtype, first + i));
    if (!std::isfinite(magnitude)) {
      block.scale = std::numeric_limits<double>::quiet_NaN();
      return block;
    }
    largest = std::max(largest, magnitude);
  }
  if (largest < kLeast) return block;
  const float scale = power ? std::ldexp(1.0f, std::ilogb(largest) - 11) : largest / 8191;
  const float inverse = power ? 1 / scale : 8191 / largest;
  for (int64_t i = 0; i < count; ++i) {
    block.codes[i] = std::nearbyint(load_float(values, dtype, first + i) * inverse);
  }
  block.scale = scale;
  return block;
}

}  // namespace

void linear_int16_ref(const LinearArgs& args) noexcept {
  for (int64_t m = 0; m < args.rows; ++m) {
    for (int64_t n = args.first; n < args.last; ++n) {
      float& y = args.y[m * args.y_stride + n];
      double sum = args.accumulate ? y : 0.0;
      if (args.bias != nullptr) sum += args.bias[n];
      for (int64_t at = 0; at < args.k; at += kInt16Block) {
        const int64_t count = std::min(kInt16Block, args.k - at);
        const Block x = round_block(args.x, args.x_dtype, m * args.x_stride + at, count, false);
        const Block w = round_block(args.w, args.w_dtype, n * args.k + at, count, true);
        double products = 0;
        for (int64_t i = 0; i < count; ++i) products += x.codes[i] * w.codes[i];
        sum += x.scale * w.scale * products;
      }
      y = static_cast<float>(sum);
    }
  }
}

}  // namespace duan::kernels
