// The integer linear layer for any processor, in loops that compilers vectorise.
#include "kernels/linear_int8_list.h"

namespace duan::kernels::plain {
namespace {

constexpr int64_t kBlock = 2048;  // elements of k widened at a time

// Products of 16-bit numbers summed in 32 bits: the form compilers have an instruction for (pmaddwd, smlal).
inline int32_t dot(const int16_t* x, const int16_t* w, int64_t k) {
  int32_t sum = 0;
  for (int64_t i = 0; i < k; ++i) sum += static_cast<int32_t>(x[i]) * static_cast<int32_t>(w[i]);
  return sum;
}

inline void widen(const void* codes, int64_t k, int zero_point, int16_t* __restrict out) {
  const int8_t* from = static_cast<const int8_t*>(codes);
  for (int64_t i = 0; i < k; ++i) out[i] = static_cast<int16_t>(from[i] - zero_point);
}

constexpr int64_t kRows = 8, kColumns = 8;

// clang-format off
#include "kernels/vector_plain.inc"
#include "kernels/vector_math.inc"
// clang-format on

inline void store_codes(int8_t* to, Vec v, int64_t n) {
  typedef int8_t Codes __attribute__((vector_size(4)));
  const Ints whole = __builtin_convertvector(choose_lanes(v == v, v, zero()), Ints);
  const Codes codes = __builtin_convertvector(whole, Codes);
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

void linear_int8(const LinearInt8Args& args) noexcept {
  int16_t x[kRows][kBlock], w[kBlock];
  for (int64_t m0 = 0; m0 < args.rows; m0 += kRows) {
    const int64_t rows = args.rows - m0 < kRows ? args.rows - m0 : kRows;
    for (int64_t n0 = args.first; n0 < args.last; n0 += kColumns) {
      const int64_t columns = args.last - n0 < kColumns ? args.last - n0 : kColumns;
      int32_t sums[kRows][kColumns] = {};
      for (int64_t at = 0; at < args.k; at += kBlock) {
        const int64_t length = args.k - at < kBlock ? args.k - at : kBlock;
        for (int64_t m = 0; m < rows; ++m) widen(args.x + (m0 + m) * args.k + at, length, args.x_zero_point, x[m]);
        for (int64_t n = 0; n < columns; ++n) {
          widen(args.w + (n0 + n) * args.k + at, length, 0, w);
          for (int64_t m = 0; m < rows; ++m) sums[m][n] += dot(x[m], w, length);
        }
      }
      for (int64_t m = 0; m < rows; ++m) {
        for (int64_t n = 0; n < columns; ++n) {
          float value = static_cast<float>(sums[m][n]) * (args.x_scales[m0 + m] * args.w_scales[n0 + n]);
          if (args.bias != nullptr) value += args.bias[n0 + n];
          float& y = args.y[(m0 + m) * args.y_stride + n0 + n];
          y = args.accumulate ? y + value : value;
        }
      }
    }
  }
}

}  // namespace duan::kernels::plain
