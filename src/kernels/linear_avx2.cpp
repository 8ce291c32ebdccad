// The linear layer with AVX2, FMA and F16C.
#include "kernels/linear_list.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "base/target.h"
#include "kernels/unroll.h"

DUAN_TARGET_BEGIN(DUAN_TARGET_AVX2)

namespace duan::kernels::avx2 {
namespace {
// clang-format off
#include "kernels/vector_avx2.inc"
#include "kernels/linear_tiles.inc"
// clang-format on
}  // namespace

void linear(const LinearArgs& args) noexcept { multiply_in_f32(args); }

}  // namespace duan::kernels::avx2

DUAN_TARGET_END
#endif
