// Operations that work on rows of activations: norms, rotation, gating, sums and conversions.
// All are deterministic per element or row: results do not depend on how rows are divided over calls.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/cpu.h"
#include "kernels/select.h"
#include "tensor/dtype.h"

namespace duan::kernels {

// out = x / sqrt(mean(x^2) + eps) * weight over n elements, in fp32; for each of `groups` (heads, or 1) in each row.
// Group g of row r starts at x[r * x_stride + g * n] and goes to out[r * out_stride + g * n]. In place is allowed for
// f32.
struct RmsNormArgs {
  const float* x;
  int64_t x_stride;
  int64_t rows, groups, n;
  const float* weight;  // [n]
  float eps;
  void* out;
  DType out_dtype;  // f32 | bf16
  int64_t out_stride;
};

// out = (x - mean(x)) / sqrt(variance(x) + eps) * weight + bias over the n elements of each row, in fp32; the variance
// is the mean of squares around the mean. In place is allowed for f32.
struct LayerNormArgs {
  const float* x;
  int64_t x_stride;
  int64_t rows, n;
  const float* weight;  // [n], like bias
  const float* bias;
  float eps;
  void* out;
  DType out_dtype;  // f32 | bf16
  int64_t out_stride;
};

// Rotates, in place, pairs (j, j + n/2) of each head of each row by that row's angles ("rotate half"):
// x[j] = x[j] cos - x[j + n/2] sin, x[j + n/2] = x[j + n/2] cos + x[j] sin.
struct RopeArgs {
  float* x;
  int64_t x_stride;        // head h of row r starts at x[r * x_stride + h * n]
  int64_t rows, heads, n;  // n even
  const float* cosines;    // row r at cosines[r * table_stride], n/2 each
  const float* sines;
  int64_t table_stride;
};

// out = silu(gate) * up, silu(v) = v / (1 + exp(-v)).
struct SiluMulArgs {
  const float* gate;
  const float* up;
  int64_t gate_stride, up_stride;
  int64_t rows, n;
  void* out;
  DType out_dtype;  // f32 | bf16
  int64_t out_stride;
};

// out = gelu(x) over n elements: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), or x/2 (1 + erf(x / sqrt(2))) within
// 5e-7 (1 + |x|). In place is allowed for f32.
struct GeluArgs {
  const float* x;
  int64_t n;
  bool tanh;  // else erf
  void* out;
  DType out_dtype;  // f32 | bf16
};

struct RowsKernel {
  const char* name;
  Isa needs;
  void (*rms_norm)(const RmsNormArgs& args) noexcept;
  void (*layer_norm)(const LayerNormArgs& args) noexcept;
  void (*rope)(const RopeArgs& args) noexcept;
  void (*silu_mul)(const SiluMulArgs& args) noexcept;
  void (*gelu)(const GeluArgs& args) noexcept;
  void (*add)(const float* x, float* y, int64_t n) noexcept;           // y += x
  void (*to_bf16)(const float* x, uint16_t* out, int64_t n) noexcept;  // nearest even, a NaN stays one
  // n elements of f32, f16 or bf16 at any alignment, to f32: an embedding row.
  void (*to_float)(const std::byte* x, DType dtype, float* out, int64_t n) noexcept;
};

std::span<const RowsKernel> rows_kernels();  // best first, the reference last

// Both throw Error if DUAN_KERNEL ("rows:<name>") or DUAN_ISA cannot be obeyed.
const RowsKernel& select_rows();
std::vector<Rejection> explain_rows();

}  // namespace duan::kernels
