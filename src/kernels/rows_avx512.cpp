// Row-wise operations with AVX-512.
#include "kernels/rows_list.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "base/target.h"
#include "kernels/unroll.h"

DUAN_TARGET_BEGIN(DUAN_TARGET_AVX512)

namespace duan::kernels::avx512 {
namespace {
// clang-format off
#include "kernels/vector_avx512.inc"
#include "kernels/vector_math.inc"
#include "kernels/rows.inc"
// clang-format on
}  // namespace
}  // namespace duan::kernels::avx512

DUAN_TARGET_END

namespace duan::kernels::avx512 {
RowsKernel rows_kernel() {
  return {"avx512", Isa::avx512, rms_norm, layer_norm, rope, silu_mul, gelu, add_rows, to_bf16, to_float};
}
}  // namespace duan::kernels::avx512
#endif
