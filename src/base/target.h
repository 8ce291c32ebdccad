// Target regions: code for one instruction set inside a file built for the baseline.
//
// Open a region AFTER all includes, so that no inline function of a header is ever compiled for the wider set and then
// chosen by the linker for baseline callers. Inside: only own functions in a namespace named for the set, nothing of
// std::.
//
//   DUAN_TARGET_BEGIN(DUAN_TARGET_AVX512)
//   namespace avx512 { … }
//   DUAN_TARGET_END
#pragma once

#define DUAN_PRAGMA_(x) _Pragma(#x)
#if defined(__clang__)
#define DUAN_TARGET_BEGIN(t) DUAN_TARGET_BEGIN_(t)
#define DUAN_TARGET_BEGIN_(t) DUAN_PRAGMA_(clang attribute push(__attribute__((target(t))), apply_to = function))
#define DUAN_TARGET_END _Pragma("clang attribute pop")
#else
#define DUAN_TARGET_BEGIN(t) _Pragma("GCC push_options") DUAN_TARGET_BEGIN_(t)
#define DUAN_TARGET_BEGIN_(t) DUAN_PRAGMA_(GCC target(t))
#define DUAN_TARGET_END _Pragma("GCC pop_options")
#endif

#define DUAN_TARGET_AVX2 "avx2,fma,f16c"
#define DUAN_TARGET_AVX_VNNI "avx2,fma,f16c,avxvnni"
#define DUAN_TARGET_AVX512 "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl"
#define DUAN_TARGET_AVX512_VNNI "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni"
#define DUAN_TARGET_AVX512_BF16 "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16"
