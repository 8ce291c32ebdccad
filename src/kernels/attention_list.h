// The implementations of attention.h, one per instruction set.
#pragma once

#include "kernels/attention.h"

namespace duan::kernels {

void attention_ref(const AttentionArgs& args) noexcept;
namespace plain {
void attention(const AttentionArgs& args) noexcept;
}
#if defined(__x86_64__)
namespace avx2 {
void attention(const AttentionArgs& args) noexcept;
}
namespace avx512 {
void attention(const AttentionArgs& args) noexcept;
}
namespace avx512_bf16 {
void attention(const AttentionArgs& args) noexcept;
}
#endif

}  // namespace duan::kernels
