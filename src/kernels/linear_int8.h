// The linear layer on int8 codes of both operands: y[m, n] = (sum_k (x[m, k] - zero_point) * w[n, k]) * (x_scale[m] *
// w_scale[n]) (+ bias[n]), and the rounding of x that precedes it.
//
// The sum is exact, in int32, so results do not depend on the kernel, nor on how rows and columns are divided over
// calls. Weights are read where they lie, as the checkpoint stores them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/cpu.h"
#include "kernels/select.h"
#include "tensor/weight.h"

namespace duan::kernels {

// The longest sum that cannot overflow: k * 255 * 128 < 2^31.
inline constexpr int64_t kMaxInt8Columns = 65536;

// Rounds rows of x to int8 as `scheme` says (dynamic or fixed). A row of zeros gets scale 1.
// A value that is not finite gives a scale that is not (dynamic), so that it shows in y; fixed clamps, NaN gives NaN.
struct RoundInputArgs {
  const float* x;  // [rows, k]
  int64_t x_stride;
  int64_t rows, k;
  InputScheme scheme;
  int8_t* codes;  // [rows, k], contiguous
  float* scales;  // [rows]
};

struct LinearInt8Args {
  const int8_t* x;        // [rows, k], contiguous
  const float* x_scales;  // [rows]
  int32_t x_zero_point;
  const std::byte* w;     // i8 [n_total, k], contiguous; any alignment
  const float* w_scales;  // [n_total]
  const float* bias;      // [n_total] or nullptr
  float* y;               // element (m, n) at y[m * y_stride + n]
  int64_t y_stride;
  int64_t rows;
  int64_t first, last;  // computes columns [first, last)
  int64_t k;            // at most kMaxInt8Columns
  bool accumulate;      // y += instead of y =; the bias is added to the product first
};

struct LinearInt8Kernel {
  const char* name;
  Isa needs;
  void (*round_input)(const RoundInputArgs& args) noexcept;
  void (*run)(const LinearInt8Args& args) noexcept;
};

std::span<const LinearInt8Kernel> linear_int8_kernels();  // best first, the reference last

// Both throw Error if DUAN_KERNEL ("linear_int8:<name>") or DUAN_ISA cannot be obeyed.
const LinearInt8Kernel& select_linear_int8();
std::vector<Rejection> explain_linear_int8();

}  // namespace duan::kernels
