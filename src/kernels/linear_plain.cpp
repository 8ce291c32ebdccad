// The linear layer for any processor.
#include "kernels/linear_list.h"
#include "kernels/unroll.h"

namespace duan::kernels::plain {
namespace {
// clang-format off
#include "kernels/vector_plain.inc"
#include "kernels/vector_math.inc"
#include "kernels/codes_plain.inc"
#include "kernels/code_groups.inc"
#include "kernels/linear_tiles.inc"
#include "kernels/linear_row.inc"
// clang-format on
}  // namespace

void linear(const LinearArgs& args) noexcept { multiply_in_f32(args); }
void linear_row(const LinearArgs& args, const CodeGroups& w) noexcept { multiply_row(args, w); }

}  // namespace duan::kernels::plain
