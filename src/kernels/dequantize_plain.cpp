// Quantized rows made plain on any processor.
#include "kernels/code_groups.h"
#include "kernels/dequantize_list.h"

namespace duan::kernels::plain {
namespace {
// clang-format off
#include "kernels/vector_plain.inc"
#include "kernels/vector_math.inc"
#include "kernels/codes_plain.inc"
#include "kernels/code_groups.inc"
#include "kernels/dequantize.inc"
// clang-format on
}  // namespace

void dequantize(const DequantizeArgs& args) noexcept {
  const CodeGroups groups = code_groups(*args.weight);
  if (groups.group_size * groups.bits() % 8 != 0) return ref::dequantize(args);  // no published checkpoint has these
  dequantize_rows(groups, args.first, args.last, args.out, args.out_dtype);
}

}  // namespace duan::kernels::plain
