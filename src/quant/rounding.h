// Rounding weights to integers, row by row: the scales, zero points and codes that compressed-tensors would choose.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"

namespace duan::quant {

enum class WeightObserver {
  minmax,  // the range is that of the numbers
  mse,     // the range is shrunk in steps of 1 % down to 81 %, to where the sum of |error|^2.4 is least
  // The same down to 66 %, to where the sum of importance * error^2 is least. The importance of a column is the mean
  // square of its input: the sum is what rounding adds to the square of the output, were inputs independent.
  imatrix,
};
std::string_view weight_observer_name(WeightObserver observer);  // "mse"

// value = (code - zero_point) * scale, codes in [-2^(bits-1), 2^(bits-1) - 1].
struct WeightRounding {
  int bits = 8;            // 4 | 8
  int64_t group_size = 0;  // columns that share a scale; 0: the whole row
  bool symmetric = true;   // zero points are 0; scale = max|w| / (2^bits - 1) * 2, else (max - min) / (2^bits - 1)
  WeightObserver observer = WeightObserver::minmax;
  DType scale_dtype = DType::f32;  // scales are numbers of this float dtype: codes are made for what will be stored
  // Every intermediate result is rounded to scale_dtype, too, as tensors of that dtype do: for comparing code by code
  // with checkpoints made that way. Coarser in bf16.
  bool narrow = false;
  // Symmetric: the largest number of a group lies on the border of two codes, and the last bit of a quotient decides,
  // as in compressed-tensors. Where this is set it goes outward, as a tie does in exact arithmetic: for judging scales
  // without that noise.
  bool largest_outward = false;

  int64_t groups(int64_t columns) const { return group_size == 0 ? 1 : columns / group_size; }
  int32_t lowest() const { return -(1 << (bits - 1)); }
  int32_t highest() const { return (1 << (bits - 1)) - 1; }
};

struct RoundedRow {
  std::vector<int8_t> codes;        // [columns]
  std::vector<float> scales;        // [groups], > 0, exact in scale_dtype
  std::vector<int8_t> zero_points;  // [groups]
};

// Rounds one row of finite numbers; group_size divides its length. The vectors of `out` are sized here. Ties go to
// even. `importance`: of each column, >= 0; imatrix without it counts all columns alike.
void round_row(std::span<const float> row, const WeightRounding& rounding, RoundedRow& out,
               std::span<const float> importance = {});

// The numbers that the codes stand for, into values[columns].
void dequantize_row(const RoundedRow& row, const WeightRounding& rounding, std::span<float> values);

// Half to even for |x| < 2^22: adding 1.5 * 2^23 leaves the integer in the low mantissa bits. Unlike std::nearbyint the
// compiler can do several at once without SSE4.
inline float round_half_even(float x) {
  constexpr float kShift = 12582912.0f;
  return (x + kShift) - kShift;
}

// The nearest number of the float dtype.
float nearest(DType dtype, float value);

// One row of codes as compressed-tensors packs them: 32-bit words, low end first, each code plus 2^(bits-1).
// words[ceil(codes * bits / 32)], all written.
void pack_codes(std::span<const int8_t> codes, int bits, std::span<uint32_t> words);

}  // namespace duan::quant
