// The implementations of linear.h, one per instruction set.
#pragma once

#include "kernels/linear.h"

namespace duan::kernels {

void linear_ref(const LinearArgs& args) noexcept;
namespace plain {
void linear(const LinearArgs& args) noexcept;
void linear_row(const LinearArgs& args, const CodeGroups& w) noexcept;
}  // namespace plain
#if defined(__x86_64__)
namespace avx2 {
void linear(const LinearArgs& args) noexcept;
void linear_row(const LinearArgs& args, const CodeGroups& w) noexcept;
}  // namespace avx2
namespace avx512 {
void linear(const LinearArgs& args) noexcept;
}
namespace avx512_bf16 {
void linear(const LinearArgs& args) noexcept;  // bf16 weights and bf16 x only
}
#endif

}  // namespace duan::kernels
