#include "quant/token_columns.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace duan::quant {
namespace {

std::vector<float> random_numbers(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> numbers(static_cast<size_t>(count));
  for (float& number : numbers) number = std::normal_distribution<float>(0, 1)(random);
  return numbers;
}

// The sum over tokens of each channel of a times each of b, after adding a's and b's tokens in pieces of these sizes.
std::vector<float> products(const std::vector<float>& a, int64_t a_width, const std::vector<float>& b, int64_t b_width,
                            const std::vector<int64_t>& pieces, std::span<const float> factors, DType dtype,
                            ThreadPool& pool) {
  TokenColumns left(a_width, dtype), right(b_width, dtype);
  int64_t done = 0;
  for (const int64_t piece : pieces) {
    const auto of_piece =
        factors.empty() ? factors : factors.subspan(static_cast<size_t>(done), static_cast<size_t>(piece));
    left.add(piece, a.data() + done * a_width, of_piece, pool);
    right.add(piece, b.data() + done * b_width, {}, pool);
    done += piece;
  }
  EXPECT_EQ(left.room(), left.depth() - done);
  left.settle(pool);
  right.settle(pool);
  EXPECT_EQ(left.room(), 0);
  std::vector<float> sums(static_cast<size_t>(a_width * b_width), 1);  // to be added to
  const int64_t half = a_width / 2;
  add_products(left, 0, half, right, 0, b_width, sums.data(), b_width);
  add_products(left, half, a_width - half, right, 0, b_width, sums.data() + half * b_width, b_width);
  return sums;
}

// i8: steps are a 127th of a channel's largest: 0.08 for a, 0.03 for b. Their errors, evenly spread over a step, make a
// product off by 0.026 (one standard deviation), a sum by the root of the number of tokens as much. Five of those.
TEST(TokenColumns, SumProductsHoweverTokensCome) {
  constexpr int64_t kLeft = 37, kRight = 18;
  for (const DType dtype : {DType::f32, DType::i8}) {
    const int64_t tokens = TokenColumns(1, dtype).depth();
    const std::vector<float> a = random_numbers(tokens * kLeft, 1), b = random_numbers(tokens * kRight, 2);
    std::vector<float> factors(static_cast<size_t>(tokens));
    for (size_t t = 0; t < factors.size(); ++t) factors[t] = 0.5f + static_cast<float>(t % 3);
    ThreadPool one(1), three(3);
    const std::vector<float> found = products(a, kLeft, b, kRight, {tokens}, factors, dtype, one);
    EXPECT_EQ(found, products(a, kLeft, b, kRight, {5, 1, 33, tokens - 39}, factors, dtype, three));
    const double tolerance = dtype == DType::f32 ? 1e-3 : 0.13 * std::sqrt(static_cast<double>(tokens));
    for (int64_t i = 0; i < kLeft * kRight; ++i) {
      double sum = 1;
      for (int64_t t = 0; t < tokens; ++t) {
        sum += static_cast<double>(a[static_cast<size_t>(t * kLeft + i / kRight)]) * factors[static_cast<size_t>(t)] *
               b[static_cast<size_t>(t * kRight + i % kRight)];
      }
      ASSERT_NEAR(found[static_cast<size_t>(i)], sum, tolerance) << i;
    }
  }
}

TEST(TokenColumns, TakeTokensThatAreNotThereAsZeros) {
  constexpr int64_t kWidth = 5;
  for (const DType dtype : {DType::f32, DType::i8}) {
    ThreadPool pool(1);
    TokenColumns columns(kWidth, dtype);
    columns.add(columns.depth(), random_numbers(columns.depth() * kWidth, 3).data(), {}, pool);
    columns.clear();
    const std::vector<float> x = {1, -2, 3, 0, 5};
    columns.add(1, x.data(), {}, pool);
    columns.settle(pool);
    std::vector<float> sums(kWidth * kWidth, 0.0f);
    add_products(columns, 0, kWidth, columns, 0, kWidth, sums.data(), kWidth);
    for (size_t i = 0; i < sums.size(); ++i) EXPECT_NEAR(sums[i], x[i / kWidth] * x[i % kWidth], 0.2) << i;
  }
}

TEST(TokenColumns, ShowNumbersThatAreTooLarge) {
  ThreadPool pool(1);
  TokenColumns columns(2, DType::i8);
  columns.add(1, std::vector<float>{1e25f, 1}.data(), {}, pool);
  columns.settle(pool);
  std::vector<float> sums(4, 0.0f);
  add_products(columns, 0, 2, columns, 0, 2, sums.data(), 2);
  EXPECT_FALSE(std::isfinite(sums[0]));
}

}  // namespace
}  // namespace duan::quant
