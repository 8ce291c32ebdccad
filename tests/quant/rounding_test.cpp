#include "quant/rounding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace duan::quant {
namespace {

std::vector<WeightRounding> all_roundings() {
  std::vector<WeightRounding> all;
  for (const int bits : {4, 8}) {
    for (const int64_t group_size : {0, 16}) {
      for (const bool symmetric : {true, false}) {
        for (const WeightObserver observer : {WeightObserver::minmax, WeightObserver::mse, WeightObserver::imatrix}) {
          for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
            all.push_back({bits, group_size, symmetric, observer, dtype});
          }
        }
      }
    }
  }
  return all;
}

std::vector<float> random_row(std::mt19937& random, size_t columns) {
  std::normal_distribution<float> normal(0, 0.05f);
  std::vector<float> row(columns);
  for (float& w : row) w = normal(random);
  if (random() % 2 == 0) row[random() % columns] *= 40;  // an outlier
  if (random() % 4 == 0) std::fill(row.begin(), row.begin() + 16, 0.0f);
  if (random() % 4 == 0) {
    for (float& w : row) w = std::abs(w) + 0.1f;  // no zero in the range
  }
  return row;
}

std::vector<float> dequantized(const RoundedRow& row, const WeightRounding& r) {
  std::vector<float> values(row.codes.size());
  dequantize_row(row, r, values);
  return values;
}

// Half a step; and where the range was rounded to a narrow dtype, what that cut off.
double bound(const WeightRounding& r, float scale) {
  const double narrow = r.scale_dtype == DType::bf16 ? 0x1p-8 : r.scale_dtype == DType::f16 ? 0x1p-11 : 0x1p-24;
  return scale * (0.5 + 2 * (r.highest() + 1) * narrow + 1e-4);
}

TEST(Rounding, ErrorStaysBelowHalfAStep) {
  std::mt19937 random(7);
  RoundedRow rounded;
  for (const WeightRounding& r : all_roundings()) {
    if (r.observer != WeightObserver::minmax) continue;  // clip on purpose
    for (int trial = 0; trial < 50; ++trial) {
      const std::vector<float> row = random_row(random, 64);
      round_row(row, r, rounded);
      const std::vector<float> values = dequantized(rounded, r);
      for (size_t i = 0; i < row.size(); ++i) {
        const float scale = rounded.scales[r.group_size == 0 ? 0 : i / 16];
        ASSERT_LE(std::abs(values[i] - row[i]), bound(r, scale)) << "bits " << r.bits << ", symmetric " << r.symmetric;
      }
    }
  }
}

TEST(Rounding, CodesScalesAndZeroPointsAreInRange) {
  std::mt19937 random(8);
  RoundedRow rounded;
  for (const WeightRounding& r : all_roundings()) {
    for (int trial = 0; trial < 20; ++trial) {
      round_row(random_row(random, 64), r, rounded);
      ASSERT_EQ(rounded.scales.size(), r.group_size == 0 ? 1u : 4u);
      for (const int8_t code : rounded.codes) ASSERT_TRUE(code >= r.lowest() && code <= r.highest());
      for (const int8_t zero : rounded.zero_points) {
        ASSERT_TRUE(zero >= r.lowest() && zero <= r.highest());
        ASSERT_TRUE(zero == 0 || !r.symmetric);
      }
      for (const float scale : rounded.scales) {
        ASSERT_GT(scale, 0);
        ASSERT_EQ(scale, nearest(r.scale_dtype, scale));
      }
    }
  }
}

TEST(Rounding, ShrinkingTheRangeLowersItsError) {
  std::mt19937 random(9);
  RoundedRow rounded;
  for (WeightRounding r : all_roundings()) {
    const WeightObserver observer = r.observer;
    if (observer == WeightObserver::minmax) continue;
    for (int trial = 0; trial < 20; ++trial) {
      const std::vector<float> row = random_row(random, 64);
      std::vector<float> importance(row.size(), 1.0f);
      for (size_t i = 0; i < row.size() && observer == WeightObserver::imatrix; ++i) {
        importance[i] = static_cast<float>(i % 7 == 0 ? 50 : i % 3);
      }
      const double exponent = observer == WeightObserver::mse ? 2.4 : 2;
      const auto error = [&] {
        round_row(row, r, rounded, importance);
        const std::vector<float> values = dequantized(rounded, r);
        double sum = 0;
        for (size_t i = 0; i < row.size(); ++i) {
          sum += importance[i] * std::pow(std::abs(values[i] - row[i]), exponent);
        }
        return sum;
      };
      r.observer = observer;
      const double shrunk = error();
      r.observer = WeightObserver::minmax;
      EXPECT_LE(shrunk, error() * (1 + 1e-5));
    }
  }
}

TEST(Rounding, IsWhatTheFormulasSay) {
  RoundedRow rounded;
  const std::vector<float> row = {-1.5f, 0.6f, 0.7f, 3.0f};
  round_row(row, {.bits = 4, .symmetric = true}, rounded);
  EXPECT_FLOAT_EQ(rounded.scales[0], 3.0f / 7.5f);
  EXPECT_EQ(rounded.codes, (std::vector<int8_t>{-4, 2, 2, 7}));  // -3.75, 1.5 (to even), 1.75, 7.5 (cut)
  round_row(row, {.bits = 4, .symmetric = false}, rounded);
  EXPECT_FLOAT_EQ(rounded.scales[0], 4.5f / 15);
  EXPECT_EQ(rounded.zero_points[0], -3);  // -8 + 5
  EXPECT_EQ(rounded.codes, (std::vector<int8_t>{-8, -1, -1, 7}));
}

// max|w| / 7.5 steps: half a step from two codes.
TEST(Rounding, TheLargestOfASymmetricGroupCanBeSentOutward) {
  std::vector<float> row(32);
  RoundedRow whim, outward;
  int inward = 0;
  for (int i = 1; i < 200; ++i) {
    for (size_t c = 0; c < row.size(); ++c) row[c] = std::sin(static_cast<float>(c * 7 + 1)) * static_cast<float>(i);
    row[i % 32] = -1.37f * static_cast<float>(i);
    WeightRounding rounding{.bits = 4, .group_size = 32};
    round_row(row, rounding, whim);
    rounding.largest_outward = true;
    round_row(row, rounding, outward);
    EXPECT_EQ(whim.scales, outward.scales);
    EXPECT_EQ(outward.codes[i % 32], -8);
    inward += whim.codes[i % 32] == -7;
    for (size_t c = 0; c < row.size(); ++c) {
      if (c == static_cast<size_t>(i % 32)) continue;
      EXPECT_EQ(whim.codes[c], outward.codes[c]);
    }
  }
  EXPECT_GT(inward, 10);
  EXPECT_LT(inward, 190);
}

TEST(Rounding, ARowOfZerosStaysZero) {
  RoundedRow rounded;
  for (const WeightRounding& r : all_roundings()) {
    round_row(std::vector<float>(32, 0.0f), r, rounded);
    for (const float value : dequantized(rounded, r)) EXPECT_EQ(value, 0.0f);
    EXPECT_EQ(rounded.scales[0], r.scale_dtype == DType::f32    ? 0x1p-23f
                                 : r.scale_dtype == DType::bf16 ? 0x1p-7f
                                                                : 0x1p-10f);
  }
}

TEST(Rounding, PacksLowEndFirst) {
  const std::vector<int8_t> codes = {-8, 7, 0, 1, 2, 3, 4, 5, -1};
  std::vector<uint32_t> words(2, 0xFFFFFFFFu);
  pack_codes(codes, 4, words);
  EXPECT_EQ(words[0], 0xDCBA98F0u);
  EXPECT_EQ(words[1], 0x00000007u);
  std::vector<uint32_t> bytes(1);
  pack_codes(std::vector<int8_t>{-128, 127, 0, -1}, 8, bytes);
  EXPECT_EQ(bytes[0], 0x7F80FF00u);
}

}  // namespace
}  // namespace duan::quant
