// The implementations of linear.h, one per instruction set.
#pragma once

#include "kernels/linear.h"

namespace duan::kernels {

void linear_ref(const LinearArgs& args) noexcept;

}  // namespace duan::kernels
