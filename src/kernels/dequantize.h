// Rows of a quantized weight as plain numbers, for matrix products whose activations stay floating point: a block of
// rows at a time, which the dense kernel of linear.h then multiplies while it is in cache.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/cpu.h"
#include "kernels/select.h"
#include "tensor/weight.h"

namespace duan::kernels {

struct DequantizeArgs {
  const Weight* weight;  // Int8Channel or IntGroup
  int64_t first, last;   // rows
  void* out;             // [last - first, columns], contiguous; aligned to 64
  DType out_dtype;       // f32 | bf16: (code - zero_point) * scale in f32, then rounded to nearest even
};

struct DequantizeKernel {
  const char* name;
  Isa needs;
  void (*run)(const DequantizeArgs& args) noexcept;
};

std::span<const DequantizeKernel> dequantize_kernels();  // best first, the reference last; all give the same bits

// Both throw Error if DUAN_KERNEL ("dequantize:<name>") or DUAN_ISA cannot be obeyed.
const DequantizeKernel& select_dequantize();
std::vector<Rejection> explain_dequantize();

}  // namespace duan::kernels
