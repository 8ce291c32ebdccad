// The implementations of rows.h, one per instruction set.
#pragma once

#include "kernels/rows.h"

namespace duan::kernels {

namespace ref {
RowsKernel rows_kernel();
}
namespace plain {
RowsKernel rows_kernel();
}
#if defined(__x86_64__)
namespace avx2 {
RowsKernel rows_kernel();
}
namespace avx512 {
RowsKernel rows_kernel();
}
#endif

}  // namespace duan::kernels
