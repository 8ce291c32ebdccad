// Row-wise operations with AVX2, FMA and F16C.
#include "kernels/rows_list.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "base/target.h"
#include "kernels/unroll.h"

DUAN_TARGET_BEGIN(DUAN_TARGET_AVX2)

namespace duan::kernels::avx2 {
namespace {
// clang-format off
#include "kernels/vector_avx2.inc"
#include "kernels/vector_math.inc"
#include "kernels/rows.inc"
// clang-format on
}  // namespace
}  // namespace duan::kernels::avx2

DUAN_TARGET_END

namespace duan::kernels::avx2 {
RowsKernel rows_kernel() {
  return {"avx2", Isa::avx2, rms_norm, layer_norm, rope, silu_mul, gelu, add_rows, to_bf16, to_float};
}
}  // namespace duan::kernels::avx2
#endif
