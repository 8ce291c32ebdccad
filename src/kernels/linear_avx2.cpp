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
#include "kernels/vector_math.inc"
#include "kernels/codes_avx2.inc"
#include "kernels/code_groups.inc"
#include "kernels/linear_tiles.inc"
#include "kernels/linear_row.inc"
// clang-format on
}  // namespace

void linear(const LinearArgs& args) noexcept { multiply_in_f32(args); }
void linear_row(const LinearArgs& args, const CodeGroups& w) noexcept { multiply_row(args, w); }

}  // namespace duan::kernels::avx2

DUAN_TARGET_END
#endif
