// The integer linear layer with AVX-VNNI, the form of the instruction that processors without AVX-512 have.
#include "kernels/linear_int8_list.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "base/target.h"
#include "kernels/unroll.h"

DUAN_TARGET_BEGIN(DUAN_TARGET_AVX_VNNI)

namespace duan::kernels::avx_vnni {
namespace {

// As _mm256_dpbusd_avx_epi32, with which GCC 12 copies and spills sums.
inline __m256i dpbusd(__m256i sum, __m256i a, __m256i b) {
  asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "xm"(b));
  return sum;
}

// clang-format off
#include "kernels/linear_int8_avx_vnni.inc"
#include "kernels/linear_int8_tiles.inc"
// clang-format on
}  // namespace

void linear_int8(const LinearInt8Args& args) noexcept { multiply_in_int32(args); }

}  // namespace duan::kernels::avx_vnni

DUAN_TARGET_END
#endif
