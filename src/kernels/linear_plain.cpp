// The linear layer for any processor.
#include "kernels/linear_list.h"
#include "kernels/unroll.h"

namespace duan::kernels::plain {
namespace {
// clang-format off
#include "kernels/vector_plain.inc"
#include "kernels/linear_tiles.inc"
// clang-format on
}  // namespace

void linear(const LinearArgs& args) noexcept { multiply_in_f32(args); }

}  // namespace duan::kernels::plain
