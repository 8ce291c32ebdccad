// The implementations of linear_int8.h, one per instruction set.
#pragma once

#include "kernels/linear_int8.h"

namespace duan::kernels {

namespace ref {
void round_input(const RoundInputArgs& args) noexcept;
void linear_int8(const LinearInt8Args& args) noexcept;
}  // namespace ref

}  // namespace duan::kernels
