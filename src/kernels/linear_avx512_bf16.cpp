// The linear layer with AVX512-BF16: products of bfloat16 pairs, summed in f32.
#include "kernels/linear_list.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "base/target.h"
#include "kernels/unroll.h"

DUAN_TARGET_BEGIN(DUAN_TARGET_AVX512_BF16)

namespace duan::kernels::avx512_bf16 {
namespace {
// clang-format off
#include "kernels/vector_avx512.inc"
#include "kernels/linear_tiles.inc"
// clang-format on

// vdpbf16ps multiplies exactly, adds the two products of a pair to the lane in two rounded steps, and takes subnormals
// as 0.
struct PairDot {
  using Element = uint16_t;
  using Weights = __m512i;
  static constexpr int64_t kStep = 2 * kLanes;
  static constexpr int64_t kBlock = 1024;
  static constexpr int kRows = kTileRows;
  static constexpr int64_t kWeightBytes = 2;
  static constexpr bool kPacksWeights = false;
  static Weights weights(const std::byte* p) { return _mm512_loadu_si512(p); }
  static Weights weights_part(const void* p, int64_t n) {
    return _mm512_maskz_loadu_epi16(static_cast<__mmask32>((uint64_t{1} << n) - 1), p);
  }
  static __m512i row(const uint16_t* x) { return _mm512_loadu_si512(x); }
  static Vec step(Vec sum, __m512i x, Weights w) { return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w); }
  static void pack(const uint16_t* x, int64_t stride, int rows, int64_t k, uint16_t* packed) {
    for (int64_t at = 0; at < k; at += kStep) {
      for (int m = 0; m < rows; ++m, packed += kStep) {
        const uint16_t* from = x + m * stride + at;
        const int64_t left = k - at;
        _mm512_storeu_si512(packed, left >= kStep ? row(from) : weights_part(from, left));
      }
    }
  }
};

}  // namespace

void linear(const LinearArgs& args) noexcept { multiply<PairDot, uint16_t>(args); }

}  // namespace duan::kernels::avx512_bf16

DUAN_TARGET_END
#endif
