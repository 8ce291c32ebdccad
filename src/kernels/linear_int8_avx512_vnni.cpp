// The integer linear layer with AVX512-VNNI.
#include "kernels/linear_int8_list.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "base/target.h"
#include "kernels/unroll.h"

DUAN_TARGET_BEGIN(DUAN_TARGET_AVX512_VNNI)

namespace duan::kernels::avx512_vnni {
namespace {
// clang-format off
#include "kernels/linear_int8_avx512_vnni.inc"
#include "kernels/linear_int8_tiles.inc"
// clang-format on
}  // namespace

void linear_int8(const LinearInt8Args& args) noexcept { multiply_in_int32(args); }

}  // namespace duan::kernels::avx512_vnni

DUAN_TARGET_END
#endif
