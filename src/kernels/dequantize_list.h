// The implementations of dequantize.h, one per instruction set.
#pragma once

#include "kernels/dequantize.h"

namespace duan::kernels {

#if defined(__x86_64__)
namespace avx2 {
void dequantize(const DequantizeArgs& args) noexcept;
}
#endif
namespace plain {
void dequantize(const DequantizeArgs& args) noexcept;
}
namespace ref {
void dequantize(const DequantizeArgs& args) noexcept;
}

}  // namespace duan::kernels
