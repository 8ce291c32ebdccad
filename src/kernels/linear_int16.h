// The linear layer of linear.h for many rows, in integers of 16 bits: for processors that multiply pairs of them twice
// as fast as floats, and have no bfloat16.
//
// Both operands are rounded in blocks of kInt16Block elements of k. Row m of x: scale = max|x| / 8191, code = x / scale
// to the nearest even. Row n of w: scale = the power of two that brings max|w| to [2048, 4096); a bfloat16 of at least
// a sixteenth of the block's largest keeps its value. y[m, n] = sum over blocks of (x_scale * w_scale) * sum_k x_code *
// w_code (+ bias[n]), the inner sum exact in int32. A code has 12 or 13 bits of the block's largest value, a bfloat16
// has 8 of its own, which makes it the finer one only below a sixteenth (w) or a 32nd (x) of the largest.
//
// Per output element the sum depends on k alone: results are bit-identical for every number of rows, every column range
// and every number of threads. A block whose largest magnitude is below 2^-115 counts as 0; one with a value that is
// not finite gives NaN.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/cpu.h"
#include "kernels/linear.h"
#include "kernels/select.h"

namespace duan::kernels {

inline constexpr int64_t kInt16Block = 64;  // 64 * 8191 * 4096 < 2^31
// From so many rows on rounding the weights is worth it.
inline constexpr int64_t kInt16Rows = 64;

struct LinearInt16Kernel {
  const char* name;
  Isa needs;
  void (*run)(const LinearArgs& args) noexcept;
};

std::span<const LinearInt16Kernel> linear_int16_kernels();  // best first, the reference last

// True where this is faster than linear.h: with AVX2, but not with AVX-512, whose multiply-adds of floats are as wide.
// Throws Error if DUAN_ISA is no instruction set.
bool int16_is_faster();

// Both throw Error if DUAN_KERNEL ("linear_int16:<name>") or DUAN_ISA cannot be obeyed.
const LinearInt16Kernel& select_linear_int16();
std::vector<Rejection> explain_linear_int16();

}  // namespace duan::kernels
