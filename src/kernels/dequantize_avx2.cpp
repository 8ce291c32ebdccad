// Quantized rows made plain with AVX2.
#include "kernels/code_groups.h"
#include "kernels/dequantize_list.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "base/target.h"

DUAN_TARGET_BEGIN(DUAN_TARGET_AVX2)

namespace duan::kernels::avx2 {
namespace {
// clang-format off
#include "kernels/vector_avx2.inc"
#include "kernels/vector_math.inc"
#include "kernels/codes_avx2.inc"
#include "kernels/code_groups.inc"
#include "kernels/dequantize.inc"
// clang-format on
}  // namespace
}  // namespace duan::kernels::avx2

DUAN_TARGET_END

namespace duan::kernels::avx2 {
void dequantize(const DequantizeArgs& args) noexcept {
  const CodeGroups groups = code_groups(*args.weight);
  if (groups.group_size * groups.bits() % 8 != 0) return ref::dequantize(args);  // no published checkpoint has these
  dequantize_rows(groups, args.first, args.last, args.out, args.out_dtype);
}
}  // namespace duan::kernels::avx2
#endif
