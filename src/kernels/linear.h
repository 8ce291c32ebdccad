// The linear layer: y[m, n] = sum_k x[m, k] * w[n, k] (+ bias[n]).
//
// Weights are read where they lie, row-major as the checkpoint stores them: loading is an mmap and memory holds them
// once. Per output element the order of the sum depends on k and the kernel alone, so results are bit-identical for
// every number of rows, every column range and every number of threads.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/cpu.h"
#include "kernels/code_groups.h"
#include "kernels/select.h"
#include "tensor/dtype.h"

namespace duan::kernels {

struct LinearArgs {
  const void* x;       // [rows, k] of x_dtype, aligned to its elements
  DType x_dtype;       // f32 | bf16
  int64_t x_stride;    // elements from row to row
  const std::byte* w;  // [n_total, k] contiguous, of w_dtype; any alignment
  DType w_dtype;       // f32 | f16 | bf16
  const float* bias;   // [n_total] or nullptr
  float* y;            // element (m, n) at y[m * y_stride + n]; must not overlap x
  int64_t y_stride;
  int64_t rows;
  int64_t first, last;  // computes columns [first, last): how threads share the work. Multiples of 4 are fastest.
  int64_t k;            // 0 gives y = bias
  bool accumulate;      // y += instead of y =
};

// Columns of a quantized weight that share a scale come in multiples of this where a kernel's `row` takes them.
inline constexpr int64_t kRowGroup = 8;

struct LinearKernel {
  const char* name;
  Isa needs;
  bool (*fits)(DType weight, DType x);
  void (*run)(const LinearArgs& args) noexcept;
  // One row of x in f32 times codes as they are stored, in place of args.w: y has the bits that `run` gives with the
  // same rows made plain in f32 (dequantize.h). Takes groups of a multiple of kRowGroup; k > 0. nullptr: there is none.
  void (*row)(const LinearArgs& args, const CodeGroups& w) noexcept;
};

std::span<const LinearKernel> linear_kernels();  // best first, the reference last

// Both throw Error if DUAN_KERNEL or DUAN_ISA cannot be obeyed, or if no kernel takes these types.
const LinearKernel& select_linear(DType weight, DType x);
std::vector<Rejection> explain_linear(DType weight, DType x);

}  // namespace duan::kernels
