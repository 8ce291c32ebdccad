#include "quant/observer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace duan::quant {
namespace {

std::vector<float> normal(size_t count, float deviation, uint32_t seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> distribution(0, deviation);
  std::vector<float> values(count);
  for (float& value : values) value = distribution(random);
  return values;
}

AbsHistogram histogram_of(std::span<const float> values) {
  AbsHistogram h;
  h.add(values);
  return h;
}

void expect_equal(const AbsHistogram& a, const AbsHistogram& b) {
  EXPECT_EQ(a.highest(), b.highest());
  EXPECT_EQ(a.count(), b.count());
  EXPECT_EQ(a.bin_width(), b.bin_width());
  EXPECT_TRUE(std::equal(a.counts().begin(), a.counts().end(), b.counts().begin()));
}

TEST(Observer, OrderAndPiecesDoNotMatter) {
  std::vector<float> values = normal(10'000, 1);
  for (size_t i = 0; i < values.size(); ++i) values[i] *= std::exp2(static_cast<float>(i % 40) - 20);
  values[17] = 3e38f;
  values[18] = 1e-44f;  // a denormal
  values[19] = 0;
  const AbsHistogram whole = histogram_of(values);
  EXPECT_EQ(whole.count(), values.size());
  std::mt19937 random(3);
  for (int trial = 0; trial < 5; ++trial) {
    std::shuffle(values.begin(), values.end(), random);
    AbsHistogram first, second;
    for (size_t at = 0; at < values.size();) {
      const size_t n = std::min<size_t>(1 + random() % 700, values.size() - at);
      (random() % 2 == 0 ? first : second).add(std::span(values).subspan(at, n));
      at += n;
    }
    second.merge(first);
    expect_equal(second, whole);
  }
}

TEST(Observer, EveryNumberIsInTheBinOfItsSize) {
  const std::vector<float> values = normal(5'000, 0.3f);
  const AbsHistogram h = histogram_of(values);
  std::vector<uint64_t> counts(AbsHistogram::kBins, 0);
  for (const float value : values) ++counts[static_cast<size_t>(std::abs(value) / h.bin_width())];
  EXPECT_TRUE(std::equal(counts.begin(), counts.end(), h.counts().begin()));
  EXPECT_LT(h.highest(), AbsHistogram::kBins * h.bin_width());
  EXPECT_GE(h.highest(), AbsHistogram::kBins / 2 * h.bin_width());
}

TEST(Observer, MergesWithNothing) {
  const AbsHistogram some = histogram_of(normal(100, 1));
  AbsHistogram a, b = some;
  a.merge(some);
  b.merge(AbsHistogram{});
  expect_equal(a, some);
  expect_equal(b, some);
}

TEST(Observer, OnlyZerosGiveNoRange) {
  const AbsHistogram h = histogram_of(std::vector<float>(10, 0.0f));
  for (const RangeMethod method :
       {RangeMethod::minmax, RangeMethod::percentile, RangeMethod::mse, RangeMethod::entropy}) {
    EXPECT_EQ(choose_range(h, {method}), 0.0f);
    EXPECT_EQ(choose_range(AbsHistogram{}, {method}), 0.0f);
  }
}

TEST(Observer, MinmaxTakesEveryNumberIn) {
  const std::vector<float> values = {0.5f, -3.25f, 1};
  EXPECT_EQ(choose_range(histogram_of(values), {RangeMethod::minmax}), 3.25f);
}

TEST(Observer, PercentileLeavesItsPartOutside) {
  const std::vector<float> values = normal(200'000, 2);
  const AbsHistogram h = histogram_of(values);
  for (const double percentile : {50.0, 99.0, 99.9, 99.99}) {
    const float range = choose_range(h, {RangeMethod::percentile, percentile});
    const auto inside = std::count_if(values.begin(), values.end(), [&](float x) { return std::abs(x) <= range; });
    EXPECT_NEAR(static_cast<double>(inside) / 2000, percentile, 0.2);
    EXPECT_GE(static_cast<double>(inside) / 2000, percentile - 1e-9);
  }
  EXPECT_EQ(choose_range(h, {RangeMethod::percentile, 100}), h.highest());
}

double measured_error(std::span<const float> values, double range) {
  const double step = range / 127.5;
  double sum = 0;
  for (const float x : values) {
    const double code = std::clamp(std::nearbyint(x / step), -128.0, 127.0);
    sum += (code * step - x) * (code * step - x);
  }
  return sum / static_cast<double>(values.size());
}

TEST(Observer, ExpectsTheErrorThatRoundingMakes) {
  const std::vector<float> values = normal(100'000, 1);
  const AbsHistogram h = histogram_of(values);
  for (const double range : {5.0, 4.0, 3.0, 2.0, 1.0, 0.5}) {
    EXPECT_NEAR(expected_error(h, range) / measured_error(values, range), 1, 0.06) << range;
  }
}

TEST(Observer, MseFindsNearlyTheBestRange) {
  for (const float outlier : {0.0f, 30.0f, 2000.0f}) {
    std::vector<float> values = normal(50'000, 1);
    values[7] = outlier;
    const AbsHistogram h = histogram_of(values);
    const double chosen = measured_error(values, choose_range(h, {RangeMethod::mse}));
    double best = chosen;
    for (double range = h.highest(); range > 0.5; range *= 0.99) best = std::min(best, measured_error(values, range));
    EXPECT_LE(chosen, 1.05 * best) << outlier;
  }
}

TEST(Observer, EntropyCutsOutliersButNotTheBody) {
  std::vector<float> values = normal(200'000, 1);
  for (size_t i = 0; i < 5; ++i) values[i] = 100.0f + static_cast<float>(i);
  const float range = choose_range(histogram_of(values), {RangeMethod::entropy});
  EXPECT_LT(range, 50);
  EXPECT_GT(range, 2.5);
  // Numbers spread evenly lose least where nothing is cut.
  std::vector<float> even(100'000);
  for (size_t i = 0; i < even.size(); ++i) even[i] = static_cast<float>(i) / 100'000;
  EXPECT_GT(choose_range(histogram_of(even), {RangeMethod::entropy}), 0.95);
}

TEST(Observer, RangesAreAtMostTheLargestNumber) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    const std::vector<float> values = normal(1 + seed * 50, std::exp2(static_cast<float>(seed) - 10), seed);
    const AbsHistogram h = histogram_of(values);
    for (const RangeMethod method :
         {RangeMethod::minmax, RangeMethod::percentile, RangeMethod::mse, RangeMethod::entropy}) {
      const float range = choose_range(h, {method, 99.9});
      EXPECT_GT(range, 0);
      EXPECT_LE(range, h.highest());
    }
  }
}

}  // namespace
}  // namespace duan::quant
