// Attention with AVX-512.
#include "kernels/attention_list.h"
#include "kernels/attention_tiles.h"

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
#include "kernels/attention_tiles.inc"
// clang-format on
}  // namespace

void attention(const AttentionArgs& args) noexcept { attend_any_cache(args); }

}  // namespace duan::kernels::avx512

DUAN_TARGET_END
#endif
