// The implementations of rows.h, one per instruction set.
#pragma once

#include "kernels/rows.h"

namespace duan::kernels {

RowsKernel rows_ref();

}  // namespace duan::kernels
