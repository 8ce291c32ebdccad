#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace duan {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(DType, NamesAreThoseOfSafetensors) {
  for (const DType dtype :
       {DType::f32, DType::f16, DType::bf16, DType::i8, DType::u8, DType::i32, DType::i64, DType::boolean}) {
    EXPECT_EQ(dtype_from_name(dtype_name(dtype)), dtype);
    EXPECT_GE(dtype_size(dtype), 1u);
  }
  EXPECT_EQ(dtype_from_name("BF16"), DType::bf16);
  EXPECT_EQ(dtype_from_name("bf16"), std::nullopt);
  EXPECT_EQ(dtype_from_name(""), std::nullopt);
}

TEST(DType, EveryBf16SurvivesTheWayThroughFloat) {
  for (uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = bf16_to_float(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(value)))) << bits;
    } else {
      EXPECT_EQ(float_to_bf16(value), half) << bits;
    }
  }
}

TEST(DType, EveryF16SurvivesTheWayThroughFloat) {
  for (uint32_t bits = 0; bits <= 0xFFFF; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = f16_to_float(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(f16_to_float(float_to_f16(value)))) << bits;
    } else {
      EXPECT_EQ(float_to_f16(value), half) << bits;
    }
  }
}

// Between two neighbours the nearer one is chosen, in the middle the even one.
template <typename ToFloat, typename FromFloat>
void expect_rounding_to_nearest_even(ToFloat to_float, FromFloat from_float, uint16_t largest_finite) {
  for (uint16_t bits = 0; bits < largest_finite; ++bits) {
    const float low = to_float(bits), high = to_float(static_cast<uint16_t>(bits + 1));
    const float middle = low + (high - low) / 2;
    const auto even = static_cast<uint16_t>(bits % 2 == 0 ? bits : bits + 1);
    ASSERT_EQ(from_float(middle), even) << bits;
    ASSERT_EQ(from_float(std::nextafter(middle, low)), bits) << bits;
    ASSERT_EQ(from_float(std::nextafter(middle, high)), bits + 1) << bits;
    ASSERT_EQ(from_float(-middle), even | 0x8000) << bits;
  }
}

TEST(DType, Bf16RoundsToNearestEven) { expect_rounding_to_nearest_even(bf16_to_float, float_to_bf16, 0x7F7F); }
TEST(DType, F16RoundsToNearestEven) { expect_rounding_to_nearest_even(f16_to_float, float_to_f16, 0x7BFF); }

TEST(DType, LargeNumbersBecomeInfinityAndNanStaysNan) {
  EXPECT_EQ(f16_to_float(float_to_f16(65519.0f)), 65504.0f);
  EXPECT_EQ(f16_to_float(float_to_f16(65520.0f)), kInfinity);
  EXPECT_EQ(f16_to_float(float_to_f16(-1e30f)), -kInfinity);
  EXPECT_EQ(bf16_to_float(float_to_bf16(std::numeric_limits<float>::max())), kInfinity);
  EXPECT_EQ(bf16_to_float(float_to_bf16(-kInfinity)), -kInfinity);
  // A NaN whose payload lies in the bits that are cut off must not turn into infinity.
  const float quiet_low = std::bit_cast<float>(0x7F800001u);
  EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(quiet_low))));
  EXPECT_TRUE(std::isnan(f16_to_float(float_to_f16(quiet_low))));
}

}  // namespace
}  // namespace duan
