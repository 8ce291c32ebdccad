// The linear layer with AVX-512: products in f32.
#include "kernels/linear_list.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "base/target.h"
#include "kernels/unroll.h"

DUAN_TARGET_BEGIN(DUAN_TARGET_AVX512)

namespace duan::kernels::avx512 {
namespace {
// clang-format off
#include "kernels/vector_avx512.inc"
#include "kernels/linear_tiles.inc"
// clang-format on
}  // namespace

void linear(const LinearArgs& args) noexcept { multiply_in_f32(args); }

}  // namespace duan::kernels::avx512

DUAN_TARGET_END
#endif
