// The implementations of attention.h, one per instruction set.
#pragma once

#include "kernels/attention.h"

namespace duan::kernels {

void attention_ref(const AttentionArgs& args) noexcept;

}  // namespace duan::kernels
