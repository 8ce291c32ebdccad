// The specification of linear.h: one sum in double per element, ascending over k.
#include "kernels/linear_list.h"
#include "kernels/load.h"

namespace duan::kernels {

void linear_ref(const LinearArgs& args) noexcept {
  for (int64_t m = 0; m < args.rows; ++m) {
    for (int64_t n = args.first; n < args.last; ++n) {
      float& y = args.y[m * args.y_stride + n];
      double sum = args.accumulate ? y : 0.0;
      if (args.bias != nullptr) sum += args.bias[n];
      for (int64_t k = 0; k < args.k; ++k) {
        sum += static_cast<double>(load_float(args.x, args.x_dtype, m * args.x_stride + k)) *
               load_float(args.w, args.w_dtype, n * args.k + k);
      }
      y = static_cast<float>(sum);
    }
  }
}

}  // namespace duan::kernels
