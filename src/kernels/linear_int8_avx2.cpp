// The integer linear layer with AVX2.
#include "kernels/linear_int8_list.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "base/target.h"
#include "kernels/unroll.h"

DUAN_TARGET_BEGIN(DUAN_TARGET_AVX2)

namespace duan::kernels::avx2 {
namespace {

// Codes widened to 16 bits, whose products vpmaddwd adds in pairs without loss. vpmaddubsw on bytes would take four
// instructions for 32 products as well (sign, multiply, widen, add), and is wrong where both operands are -128.
struct Dot {
  using Element = int16_t;
  using Weights = __m256i;
  using Sum = __m256i;
  static constexpr int64_t kStep = 16;
  static constexpr int32_t kOffset = 0;
  static constexpr int kQuadRows = 3;
  static Sum zero() { return _mm256_setzero_si256(); }
  static Weights ones() { return _mm256_set1_epi16(1); }
  static Weights weights(const void* p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
  static Weights weights_part(const void* p, int64_t n) {
    alignas(16) int8_t codes[kStep] = {};
    __builtin_memcpy(codes, p, static_cast<size_t>(n));
    return weights(codes);
  }
  static void put(int16_t* packed, const int8_t* x, int64_t n, int32_t zero_point) {
    const __m256i codes = n >= kStep ? weights(x) : weights_part(x, n);
    _mm256_store_si256(reinterpret_cast<__m256i*>(packed),
                       _mm256_sub_epi16(codes, _mm256_set1_epi16(static_cast<int16_t>(zero_point))));
  }
  static __m256i row(const int16_t* packed) { return _mm256_load_si256(reinterpret_cast<const __m256i*>(packed)); }
  static Sum step(Sum sum, __m256i x, Weights w) {
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(x, w));
    // Keeps GCC from adding the products of several steps first, for which there are no registers.
    asm("" : "+x"(sum));
    return sum;
  }
  static int32_t total(Sum sum) {
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    const __m128i two = _mm_add_epi32(four, _mm_unpackhi_epi64(four, four));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 1)));
  }
  static void add_totals(const Sum (&sums)[4], int32_t* to) {
    const __m256i halves = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
    const __m128i all = _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
    __m128i* at = reinterpret_cast<__m128i*>(to);
    _mm_storeu_si128(at, _mm_add_epi32(_mm_loadu_si128(at), all));
  }
};

// clang-format off
#include "kernels/linear_int8_tiles.inc"
#include "kernels/vector_avx2.inc"
#include "kernels/vector_math.inc"
// clang-format on

inline void store_codes(int8_t* to, Vec v, int64_t n) {
  const __m256i whole = _mm256_cvtps_epi32(_mm256_and_ps(v, _mm256_cmp_ps(v, v, _CMP_ORD_Q)));
  const __m128i halves = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
  const int64_t codes = _mm_cvtsi128_si64(_mm_packs_epi16(halves, halves));
  if (n >= kLanes) {
    __builtin_memcpy(to, &codes, sizeof codes);
  } else {
    __builtin_memcpy(to, &codes, static_cast<size_t>(n));
  }
}

// clang-format off
#include "kernels/linear_int8_round.inc"
// clang-format on
}  // namespace

void round_input(const RoundInputArgs& args) noexcept { round_rows(args); }
void linear_int8(const LinearInt8Args& args) noexcept { multiply_in_int32(args); }

}  // namespace duan::kernels::avx2

DUAN_TARGET_END
#endif
