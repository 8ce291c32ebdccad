// Attention for any processor.
#include "kernels/attention_list.h"
#include "kernels/attention_tiles.h"
#include "kernels/unroll.h"

namespace duan::kernels::plain {
namespace {
// clang-format off
#include "kernels/vector_plain.inc"
#include "kernels/vector_math.inc"
#include "kernels/attention_tiles.inc"
// clang-format on
}  // namespace

void attention(const AttentionArgs& args) noexcept { attend_any_cache(args); }

}  // namespace duan::kernels::plain
