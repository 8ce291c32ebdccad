// The specification of linear_int8.h.
#include <cmath>

#include "kernels/linear_int8_list.h"

namespace duan::kernels::ref {

void round_input(const RoundInputArgs& args) noexcept {
  for (int64_t m = 0; m < args.rows; ++m) {
    const float* x = args.x + m * args.x_stride;
    float scale = args.scheme.scale;
    if (args.scheme.rounding == InputRounding::dynamic) {
      float largest = 0;
      bool finite = true;
      for (int64_t i = 0; i < args.k; ++i) {
        finite = finite && std::isfinite(x[i]);
        largest = std::fmax(largest, std::fabs(x[i]));
      }
      scale = largest == 0 ? 1.0f : largest / 127.5f;
      if (!finite) scale = NAN;
    }
    bool has_nan = false;
    for (int64_t i = 0; i < args.k; ++i) {
      has_nan = has_nan || std::isnan(x[i]);
      const float code = std::nearbyint(x[i] / scale) + static_cast<float>(args.scheme.zero_point);
      args.codes[m * args.k + i] =
          std::isnan(code) ? int8_t{0} : static_cast<int8_t>(std::fmin(std::fmax(code, -128.0f), 127.0f));
    }
    args.scales[m] = has_nan ? NAN : scale;
  }
}

void linear_int8(const LinearInt8Args& args) noexcept {
  for (int64_t m = 0; m < args.rows; ++m) {
    for (int64_t n = args.first; n < args.last; ++n) {
      const int8_t* x = args.x + m * args.k;
      const std::byte* w = args.w + n * args.k;
      int32_t sum = 0;
      for (int64_t k = 0; k < args.k; ++k) {
        sum += (x[k] - args.x_zero_point) * static_cast<int32_t>(static_cast<int8_t>(w[k]));
      }
      float value = static_cast<float>(sum) * (args.x_scales[m] * args.w_scales[n]);
      if (args.bias != nullptr) value += args.bias[n];
      float& y = args.y[m * args.y_stride + n];
      y = args.accumulate ? y + value : value;
    }
  }
}

}  // namespace duan::kernels::ref
