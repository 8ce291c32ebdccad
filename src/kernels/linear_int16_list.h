// The implementations of linear_int16.h, one per instruction set.
#pragma once

#include "kernels/linear_int16.h"

namespace duan::kernels {

#if defined(__x86_64__)
namespace avx_vnni {
void linear_int16(const LinearArgs& args) noexcept;
}
namespace avx2 {
void linear_int16(const LinearArgs& args) noexcept;
}
#endif
void linear_int16_ref(const LinearArgs& args) noexcept;

}  // namespace duan::kernels
