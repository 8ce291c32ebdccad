// The linear layer in int16 with AVX2.
#include "kernels/linear_int16_list.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "base/target.h"
#include "kernels/load.h"
#include "kernels/unroll.h"

DUAN_TARGET_BEGIN(DUAN_TARGET_AVX2)

namespace duan::kernels::avx2 {
namespace {
// sum += pairs of products. In assembly, because GCC 12 adds into another register and copies that back.
inline void multiply_add(__m256i& sum, __m256i x, __m256i w) {
  asm("vpaddd %1, %0, %0" : "+x"(sum) : "x"(_mm256_madd_epi16(x, w)));
}
// clang-format off
#include "kernels/vector_avx2.inc"
#include "kernels/linear_int16_tiles.inc"
// clang-format on
}  // namespace

void linear_int16(const LinearArgs& args) noexcept { multiply_in_int16(args); }

}  // namespace duan::kernels::avx2

DUAN_TARGET_END
#endif
