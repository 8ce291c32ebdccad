// Row-wise operations for any processor.
#include "kernels/rows_list.h"
#include "kernels/unroll.h"

namespace duan::kernels::plain {
namespace {
// clang-format off
#include "kernels/vector_plain.inc"
#include "kernels/vector_math.inc"
#include "kernels/rows.inc"
// clang-format on
}  // namespace

RowsKernel rows_kernel() {
  return {"plain", Isa::plain, rms_norm, layer_norm, rope, silu_mul, gelu, add_rows, to_bf16, to_float};
}

}  // namespace duan::kernels::plain
