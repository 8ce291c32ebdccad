#include "eval/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace duan::eval {
namespace {

TEST(Statistics, TheMeanKnowsItsError) {
  Mean mean;
  for (const double value : {2.0, 4.0, 6.0, 8.0}) mean.add(value);
  EXPECT_EQ(mean.count(), 4);
  EXPECT_DOUBLE_EQ(mean.value(), 5);
  // Squared distances 9 + 1 + 1 + 9 over n - 1 = 3, over n = 4.
  EXPECT_DOUBLE_EQ(mean.standard_error(), std::sqrt(20.0 / 3 / 4));
  EXPECT_NEAR(mean.interval().high - 5, 1.959964 * std::sqrt(20.0 / 3 / 4), 1e-6);
  EXPECT_NEAR(5 - mean.interval().low, 1.959964 * std::sqrt(20.0 / 3 / 4), 1e-6);
}

TEST(Statistics, OneValueSaysNothingOfItsSpread) {
  Mean mean;
  mean.add(3);
  EXPECT_EQ(mean.value(), 3);
  EXPECT_TRUE(std::isinf(mean.standard_error()));
  EXPECT_TRUE(std::isinf(mean.interval().high));
}

TEST(Statistics, LargeValuesDoNotHideASmallSpread) {
  Mean mean;
  for (int i = 0; i < 1000; ++i) mean.add(1e9 + i % 2);
  EXPECT_NEAR(mean.standard_error(), 0.5 / std::sqrt(999.0), 1e-9);
}

TEST(Statistics, PercentilesAreLinearBetweenValues) {
  const std::vector<double> values = {1, 2, 4, 8, 16};
  EXPECT_DOUBLE_EQ(percentile(values, 0), 1);
  EXPECT_DOUBLE_EQ(percentile(values, 50), 4);
  EXPECT_DOUBLE_EQ(percentile(values, 90), 8 + 0.6 * 8);
  EXPECT_DOUBLE_EQ(percentile(values, 100), 16);
  EXPECT_DOUBLE_EQ(percentile(std::vector<double>{7}, 99.9), 7);
}

TEST(Statistics, SharesHaveWilsonsInterval) {
  // Of Newcombe 1998, table I: 81 of 263 is 0.2553 to 0.3662, 0 of 20 is 0 to 0.1611.
  EXPECT_NEAR(share_interval(81, 263).low, 0.2553, 5e-5);
  EXPECT_NEAR(share_interval(81, 263).high, 0.3662, 5e-5);
  EXPECT_NEAR(share_interval(0, 20).low, 0, 1e-12);
  EXPECT_NEAR(share_interval(0, 20).high, 0.1611, 5e-5);
}

}  // namespace
}  // namespace duan::eval
