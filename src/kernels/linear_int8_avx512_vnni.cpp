// The integer linear layer with AVX512-VNNI.
#include "kernels/linear_int8_list.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "base/target.h"
#include "kernels/unroll.h"

DUAN_TARGET_BEGIN(DUAN_TARGET_AVX512_VNNI)

namespace duan::kernels::avx512_vnni {
namespace {

// As _mm512_dpbusd_epi32, with which GCC 12 copies sums although there are no registers for copies.
inline __m512i dpbusd(__m512i sum, __m512i a, __m512i b) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "vm"(b));
  return sum;
}

// clang-format off
#include "kernels/linear_int8_avx512_vnni.inc"
#include "kernels/linear_int8_tiles.inc"
// clang-format on
}  // namespace

void linear_int8(const LinearInt8Args& args) noexcept { multiply_in_int32(args); }

}  // namespace duan::kernels::avx512_vnni

DUAN_TARGET_END
#endif
