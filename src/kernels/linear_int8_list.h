// The implementations of linear_int8.h, one per instruction set.
#pragma once

#include "kernels/linear_int8.h"

namespace duan::kernels {

#if defined(__x86_64__)
namespace avx512_vnni {
void linear_int8(const LinearInt8Args& args) noexcept;
}
namespace avx_vnni {
void linear_int8(const LinearInt8Args& args) noexcept;
}
namespace avx2 {
void round_input(const RoundInputArgs& args) noexcept;
void linear_int8(const LinearInt8Args& args) noexcept;
}  // namespace avx2
#endif
namespace plain {
void round_input(const RoundInputArgs& args) noexcept;
void linear_int8(const LinearInt8Args& args) noexcept;
}  // namespace plain
namespace ref {
void round_input(const RoundInputArgs& args) noexcept;
void linear_int8(const LinearInt8Args& args) noexcept;
}  // namespace ref

}  // namespace duan::kernels
