#include "quant/token_columns.h"

#include <gtest/gtest.h>

#include "tensor/weight.h"

namespace duan::quant {
namespace {

constexpr int64_t kWidth = 37;

float number(int64_t token, int64_t channel) { return static_cast<float>(token * kWidth + channel) / 7; }

std::vector<float> numbers(int64_t tokens) {
  std::vector<float> x;
  for (int64_t t = 0; t < tokens; ++t) {
    for (int64_t c = 0; c < kWidth; ++c) x.push_back(number(t, c));
  }
  return x;
}

float number_in(const TokenColumns& columns, int64_t token, int64_t channel) {
  const std::byte* at = columns.channel(channel) + static_cast<size_t>(token) * dtype_size(columns.dtype());
  float value = 0;
  to_float(columns.dtype(), at, 1, &value);
  return value;
}

TEST(TokenColumns, AreTransposedAndMultipliedHoweverTokensCome) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const auto stored = [&](float value) { return dtype == DType::f32 ? value : bf16_to_float(float_to_bf16(value)); };
    ThreadPool pool(2);
    TokenColumns columns(kWidth, dtype);
    const std::vector<float> x = numbers(kTokenColumns);
    const std::vector<float> factors(7, 0.3f);
    columns.add(5, x.data(), {}, pool);
    columns.add(7, x.data() + 5 * kWidth, factors, pool);
    EXPECT_EQ(columns.room(), kTokenColumns - 12);
    for (int64_t c = 0; c < kWidth; ++c) {
      EXPECT_EQ(number_in(columns, 4, c), stored(number(4, c)));
      EXPECT_EQ(number_in(columns, 11, c), stored(number(11, c) * 0.3f));
    }
    columns.clear();
    columns.add(kTokenColumns, x.data(), {}, pool);
    EXPECT_EQ(columns.room(), 0);
    for (int64_t t = 0; t < kTokenColumns; ++t) {
      for (int64_t c = 0; c < kWidth; ++c) ASSERT_EQ(number_in(columns, t, c), stored(number(t, c))) << t << " " << c;
    }
  }
}

TEST(TokenColumns, FillTheirRoomWithZeros) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    ThreadPool pool(1);
    TokenColumns columns(kWidth, dtype);
    columns.add(kTokenColumns, numbers(kTokenColumns).data(), {}, pool);
    columns.clear();
    columns.add(1, numbers(1).data(), {}, pool);
    columns.fill_with_zeros();
    EXPECT_EQ(columns.room(), 0);
    EXPECT_NE(number_in(columns, 0, kWidth - 1), 0);
    for (int64_t t = 1; t < kTokenColumns; ++t) ASSERT_EQ(number_in(columns, t, kWidth - 1), 0) << t;
  }
}

}  // namespace
}  // namespace duan::quant
