// The implementations of dequantize.h, one per instruction set.
#pragma once

#include "kernels/dequantize.h"

namespace duan::kernels {

namespace ref {
void dequantize(const DequantizeArgs& args) noexcept;
}

}  // namespace duan::kernels
