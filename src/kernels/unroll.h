// Before a loop over registers: unrolls it completely, so that arrays of vectors become registers at any -O level above
// 0.
#pragma once

#if defined(__clang__)
#define DUAN_UNROLL _Pragma("unroll")
#else
#define DUAN_UNROLL _Pragma("GCC unroll 16")
#endif
