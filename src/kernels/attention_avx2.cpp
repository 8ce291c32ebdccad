// Attention with AVX2, FMA and F16C.
#include "kernels/attention_list.h"
#include "kernels/attention_tiles.h"

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
#include "kernels/attention_tiles.inc"
// clang-format on
}  // namespace

void attention(const AttentionArgs& args) noexcept { attend_any_cache(args); }

}  // namespace duan::kernels::avx2

DUAN_TARGET_END
#endif
