// Before a loop over registers: unrolls it completely, so that arrays of vectors become registers at any -O level above
// 0. DUAN_UNROLL_4, before a loop of unknown length: four turns at a time. A core that two hardware threads share gives
// each 3 instructions a cycle, and then counters and jumps cost multiply-adds.
#pragma once

#if defined(__clang__)
#define DUAN_UNROLL _Pragma("unroll")
#define DUAN_UNROLL_4 _Pragma("unroll 4")
#else
#define DUAN_UNROLL _Pragma("GCC unroll 16")
#define DUAN_UNROLL_4 _Pragma("GCC unroll 4")
#endif
