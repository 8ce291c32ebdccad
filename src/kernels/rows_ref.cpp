// The specification of rows.h: plain loops, sums and functions in double.
#include <cmath>
#include <numbers>

#include "kernels/load.h"
#include "kernels/rows_list.h"

namespace duan::kernels::ref {

void rms_norm(const RmsNormArgs& args) noexcept {
  for (int64_t row = 0; row < args.rows; ++row) {
    for (int64_t group = 0; group < args.groups; ++group) {
      const float* x = args.x + row * args.x_stride + group * args.n;
      double squares = 0;
      for (int64_t i = 0; i < args.n; ++i) squares += static_cast<double>(x[i]) * x[i];
      const double inverse = 1 / std::sqrt(squares / static_cast<double>(args.n) + args.eps);
      const int64_t at = row * args.out_stride + group * args.n;
      for (int64_t i = 0; i < args.n; ++i) {
        store_float(args.out, args.out_dtype, at + i, static_cast<float>(x[i] * inverse * args.weight[i]));
      }
    }
  }
}

void layer_norm(const LayerNormArgs& args) noexcept {
  const auto n = static_cast<double>(args.n);
  for (int64_t row = 0; row < args.rows; ++row) {
    const float* x = args.x + row * args.x_stride;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < args.n; ++i) sum += x[i];
    const double mean = sum / n;
    for (int64_t i = 0; i < args.n; ++i) squares += (x[i] - mean) * (x[i] - mean);
    const double inverse = 1 / std::sqrt(squares / n + args.eps);
    for (int64_t i = 0; i < args.n; ++i) {
      const double value = (x[i] - mean) * inverse * args.weight[i] + args.bias[i];
      store_float(args.out, args.out_dtype, row * args.out_stride + i, static_cast<float>(value));
    }
  }
}

void rope(const RopeArgs& args) noexcept {
  const int64_t half = args.n / 2;
  for (int64_t row = 0; row < args.rows; ++row) {
    const float* cosines = args.cosines + row * args.table_stride;
    const float* sines = args.sines + row * args.table_stride;
    for (int64_t head = 0; head < args.heads; ++head) {
      float* x = args.x + row * args.x_stride + head * args.n;
      for (int64_t j = 0; j < half; ++j) {
        const double a = x[j], b = x[j + half];
        x[j] = static_cast<float>(a * cosines[j] - b * sines[j]);
        x[j + half] = static_cast<float>(b * cosines[j] + a * sines[j]);
      }
    }
  }
}

void silu_mul(const SiluMulArgs& args) noexcept {
  for (int64_t row = 0; row < args.rows; ++row) {
    for (int64_t i = 0; i < args.n; ++i) {
      const double gate = args.gate[row * args.gate_stride + i];
      const double value = gate / (1 + std::exp(-gate)) * args.up[row * args.up_stride + i];
      store_float(args.out, args.out_dtype, row * args.out_stride + i, static_cast<float>(value));
    }
  }
}

void gelu(const GeluArgs& args) noexcept {
  for (int64_t i = 0; i < args.n; ++i) {
    const double x = args.x[i];
    const double factor = args.tanh ? std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x))
                                    : std::erf(x / std::numbers::sqrt2);
    store_float(args.out, args.out_dtype, i, static_cast<float>(x / 2 * (1 + factor)));
  }
}

void add(const float* x, float* y, int64_t n) noexcept {
  for (int64_t i = 0; i < n; ++i) y[i] += x[i];
}

void to_bf16(const float* x, uint16_t* out, int64_t n) noexcept {
  for (int64_t i = 0; i < n; ++i) out[i] = float_to_bf16(x[i]);
}

void to_float(const std::byte* x, DType dtype, float* out, int64_t n) noexcept {
  for (int64_t i = 0; i < n; ++i) out[i] = load_float(x, dtype, i);
}

RowsKernel rows_kernel() {
  return {"ref", Isa::plain, rms_norm, layer_norm, rope, silu_mul, gelu, add, to_bf16, to_float};
}

}  // namespace duan::kernels::ref
