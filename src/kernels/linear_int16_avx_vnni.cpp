// The linear layer in int16 with AVX-VNNI, whose instruction also adds.
#include "kernels/linear_int16_list.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "base/target.h"
#include "kernels/load.h"
#include "kernels/unroll.h"

DUAN_TARGET_BEGIN(DUAN_TARGET_AVX_VNNI)

namespace duan::kernels::avx_vnni {
namespace {
// As _mm256_dpwssd_avx_epi32, with which GCC 12 copies and spills sums.
inline void multiply_add(__m256i& sum, __m256i x, __m256i w) {
  asm("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sum) : "x"(x), "xm"(w));
}
// clang-format off
#include "kernels/vector_avx2.inc"
#include "kernels/linear_int16_tiles.inc"
// clang-format on
}  // namespace

void linear_int16(const LinearArgs& args) noexcept { multiply_in_int16(args); }

}  // namespace duan::kernels::avx_vnni

DUAN_TARGET_END
#endif
