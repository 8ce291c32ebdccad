#include "benchmarks/machine.h"

#include "base/cpu.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "base/target.h"
#include "kernels/unroll.h"
#endif

namespace duan::bench {
namespace {

// Twelve chains hide the latency of the deepest FMA pipes; the empty assembly keeps the loops from being folded.
constexpr int kChains = 12;
constexpr int64_t kIterations = 20'000'000;

}  // namespace
}  // namespace duan::bench

#if defined(__x86_64__)

DUAN_TARGET_BEGIN(DUAN_TARGET_AVX2)
namespace duan::bench::avx2 {
namespace {
void multiply_add() {
  __m256 sums[kChains];
  const __m256 factor = _mm256_set1_ps(0.5f);
  DUAN_UNROLL
  for (int j = 0; j < kChains; ++j) sums[j] = _mm256_setzero_ps();
  for (int64_t i = 0; i < kIterations; ++i) {
    DUAN_UNROLL
    for (int j = 0; j < kChains; ++j) {
      sums[j] = _mm256_fmadd_ps(factor, factor, sums[j]);
      asm volatile("" : "+x"(sums[j]));
    }
  }
}
void multiply_add_pairs() {
  __m256i sums[kChains], factor = _mm256_set1_epi16(3);
  DUAN_UNROLL
  for (int j = 0; j < kChains; ++j) sums[j] = _mm256_setzero_si256();
  for (int64_t i = 0; i < kIterations; ++i) {
    DUAN_UNROLL
    for (int j = 0; j < kChains; ++j) {
      asm volatile("" : "+x"(factor));  // or the product, always the same, would be made once
      sums[j] = _mm256_add_epi32(sums[j], _mm256_madd_epi16(factor, factor));
      asm volatile("" : "+x"(sums[j]));
    }
  }
}
}  // namespace
}  // namespace duan::bench::avx2
DUAN_TARGET_END

DUAN_TARGET_BEGIN(DUAN_TARGET_AVX512)
namespace duan::bench::avx512 {
namespace {
void multiply_add() {
  __m512 sums[kChains];
  const __m512 factor = _mm512_set1_ps(0.5f);
  DUAN_UNROLL
  for (int j = 0; j < kChains; ++j) sums[j] = _mm512_setzero_ps();
  for (int64_t i = 0; i < kIterations; ++i) {
    DUAN_UNROLL
    for (int j = 0; j < kChains; ++j) {
      sums[j] = _mm512_fmadd_ps(factor, factor, sums[j]);
      asm volatile("" : "+v"(sums[j]));
    }
  }
}
}  // namespace
}  // namespace duan::bench::avx512
DUAN_TARGET_END

DUAN_TARGET_BEGIN(DUAN_TARGET_AVX_VNNI)
namespace duan::bench::avx_vnni {
namespace {
void multiply_add_bytes() {
  __m256i sums[kChains];
  const __m256i factor = _mm256_set1_epi8(3);
  DUAN_UNROLL
  for (int j = 0; j < kChains; ++j) sums[j] = _mm256_setzero_si256();
  for (int64_t i = 0; i < kIterations; ++i) {
    DUAN_UNROLL
    for (int j = 0; j < kChains; ++j) {
      sums[j] = _mm256_dpbusd_avx_epi32(sums[j], factor, factor);
      asm volatile("" : "+x"(sums[j]));
    }
  }
}
}  // namespace
}  // namespace duan::bench::avx_vnni
DUAN_TARGET_END

DUAN_TARGET_BEGIN(DUAN_TARGET_AVX512_VNNI)
namespace duan::bench::avx512_vnni {
namespace {
void multiply_add_bytes() {
  __m512i sums[kChains];
  const __m512i factor = _mm512_set1_epi8(3);
  DUAN_UNROLL
  for (int j = 0; j < kChains; ++j) sums[j] = _mm512_setzero_si512();
  for (int64_t i = 0; i < kIterations; ++i) {
    DUAN_UNROLL
    for (int j = 0; j < kChains; ++j) {
      sums[j] = _mm512_dpbusd_epi32(sums[j], factor, factor);
      asm volatile("" : "+v"(sums[j]));
    }
  }
}
}  // namespace
}  // namespace duan::bench::avx512_vnni
DUAN_TARGET_END

DUAN_TARGET_BEGIN(DUAN_TARGET_AVX512_BF16)
namespace duan::bench::avx512_bf16 {
namespace {
void multiply_add() {
  __m512 sums[kChains];
  const __m512bh factor = (__m512bh)_mm512_set1_epi16(0x3F00);
  DUAN_UNROLL
  for (int j = 0; j < kChains; ++j) sums[j] = _mm512_setzero_ps();
  for (int64_t i = 0; i < kIterations; ++i) {
    DUAN_UNROLL
    for (int j = 0; j < kChains; ++j) {
      sums[j] = _mm512_dpbf16_ps(sums[j], factor, factor);
      asm volatile("" : "+v"(sums[j]));
    }
  }
}
}  // namespace
}  // namespace duan::bench::avx512_bf16
DUAN_TARGET_END

#endif

namespace duan::bench {
namespace {

// Two operations per multiply-add in each of `width` elements.
double operations_per_second(ThreadPool& pool, void (*loop)(), int width) {
  const double seconds = best_seconds([&] { pool.run([&](int) { loop(); }); }, 5);
  return 2.0 * width * kChains * static_cast<double>(kIterations) * pool.threads() / seconds;
}

}  // namespace

Peaks register_peaks(ThreadPool& pool) {
  Peaks peaks = {0, 0, 0};
#if defined(__x86_64__)
  if (cpu_has(Isa::avx512)) {
    peaks.fp32 = operations_per_second(pool, avx512::multiply_add, 16);
  } else if (cpu_has(Isa::avx2)) {
    peaks.fp32 = operations_per_second(pool, avx2::multiply_add, 8);
  }
  if (cpu_has(Isa::avx512_vnni)) {
    peaks.int8 = operations_per_second(pool, avx512_vnni::multiply_add_bytes, 64);
  } else if (cpu_has(Isa::avx_vnni)) {
    peaks.int8 = operations_per_second(pool, avx_vnni::multiply_add_bytes, 32);
  } else if (cpu_has(Isa::avx2)) {
    peaks.int8 = operations_per_second(pool, avx2::multiply_add_pairs, 16);
  }
  if (cpu_has(Isa::avx512_bf16)) peaks.bf16 = operations_per_second(pool, avx512_bf16::multiply_add, 32);
#else
  (void)pool;
#endif
  return peaks;
}

}  // namespace duan::bench
