#include "quant/output_error.h"

#include <gtest/gtest.h>

#include <cmath>

#include "checkpoint/writer.h"
#include "support/paths.h"

namespace duan::quant {
namespace {

constexpr int64_t kRows = 700, kColumns = 64, kTokens = 9;

std::vector<float> wave(size_t count, float step) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = std::sin(static_cast<float>(i) * step) * (i % 7 == 0 ? 3.0f : 1.0f);
  return values;
}

// A checkpoint of one matrix w [kRows, kColumns] in f32.
struct OneMatrix {
  test::TemporaryDir dir;
  std::vector<float> w = wave(static_cast<size_t>(kRows * kColumns), 0.7f);
  checkpoint::Checkpoint checkpoint = [this] {
    checkpoint::write_safetensors(dir.path() / "model.safetensors", {{"w", DType::f32, {kRows, kColumns}}},
                                  [&](size_t, const checkpoint::ByteSink& sink) { sink(std::as_bytes(std::span(w))); });
    return checkpoint::Checkpoint::open(dir.path());
  }();
  SourceMatrix matrix{checkpoint, "w", {kRows, kColumns}};
};

double relative(const std::vector<double>& a, const std::vector<double>& b) {
  double error = 0, whole = 0;
  for (size_t i = 0; i < a.size(); ++i) error += (a[i] - b[i]) * (a[i] - b[i]), whole += a[i] * a[i];
  return std::sqrt(error / whole);
}

TEST(OutputError, IsThatOfThePlainSums) {
  const OneMatrix one;
  const std::vector<float> x = wave(kTokens * kColumns, 0.31f);
  const InputScheme scheme{InputRounding::fixed, 0.03f, 0};
  const std::vector<float> x_rounded = rounded_input(x, kColumns, scheme);
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(x_rounded[i], std::min(std::max(std::nearbyint(x[i] / 0.03f), -128.0f), 127.0f) * 0.03f);
  }
  Adjustment adjustment;
  for (int64_t n = 0; n < kRows; ++n) adjustment.row_divisors.push_back(n % 2 == 0 ? 4.0f : 0.5f);
  for (int threads : {1, 3}) {
    ThreadPool pool(threads);
    ErrorMeter meter(x, x_rounded, kColumns, adjustment);
    std::vector<double> w, w_rounded, y, y_rounded;
    for_each_rounded(one.matrix, adjustment, {.bits = 8}, {}, pool, [&](const RoundedRows& piece) {
      meter.add(piece, {.bits = 8}, pool);
      for (int64_t n = 0; n < piece.count; ++n) {
        const RoundedRow& row = piece.rows[static_cast<size_t>(n)];
        const double divisor = adjustment.row_divisors[static_cast<size_t>(piece.first + n)];
        for (int64_t t = 0; t < kTokens; ++t) {
          double sum = 0, sum_rounded = 0;
          for (size_t c = 0; c < kColumns; ++c) {
            const double exact = one.w[static_cast<size_t>((piece.first + n) * kColumns) + c];
            const double coarse = static_cast<double>(row.codes[c]) * row.scales[0] * divisor;
            const auto at = static_cast<size_t>(t * kColumns) + c;
            sum += exact * x[at], sum_rounded += coarse * x_rounded[at];
            if (t == 0) w.push_back(exact), w_rounded.push_back(coarse);
          }
          y.push_back(sum), y_rounded.push_back(sum_rounded);
        }
      }
    });
    EXPECT_EQ(w.size(), one.w.size());
    EXPECT_NEAR(meter.error().weight / relative(w, w_rounded), 1, 1e-4);
    EXPECT_NEAR(meter.error().output / relative(y, y_rounded), 1, 1e-3);
    EXPECT_GT(meter.error().output, 1e-4);
  }
}

TEST(OutputError, NoRowsNoOutputError) {
  const OneMatrix one;
  ThreadPool pool(1);
  const Adjustment none;
  ErrorMeter meter({}, {}, kColumns, none);
  for_each_rounded(one.matrix, none, {.bits = 8}, {}, pool,
                   [&](const RoundedRows& p) { meter.add(p, {.bits = 8}, pool); });
  EXPECT_GT(meter.error().weight, 0);
  EXPECT_EQ(meter.error().output, 0);
}

TEST(OutputError, ColumnsCountAsMuchAsTheirInputs) {
  const std::vector<float> mean_square{4, 9, 0}, divisors{2, 0.5f, 3};
  Recipe recipe;
  EXPECT_TRUE(column_importance(recipe, mean_square, divisors).empty());
  recipe.weights.observer = WeightObserver::imatrix;
  EXPECT_EQ(column_importance(recipe, mean_square, {}), mean_square);
  EXPECT_EQ(column_importance(recipe, mean_square, divisors), (std::vector<float>{1, 36, 0}));
}

TEST(OutputError, InputScalesArePositiveNumbersOfTheirDtype) {
  EXPECT_EQ(input_scale(127.5f, DType::bf16), 1);
  EXPECT_EQ(input_scale(0, DType::bf16), 1);
  for (const DType dtype : {DType::bf16, DType::f16, DType::f32}) {
    for (const float range : {1e-38f, 1e-8f, 0.3f, 77.7f}) {
      const float scale = input_scale(range, dtype);
      EXPECT_GT(scale, 0);
      EXPECT_EQ(scale, nearest(dtype, scale));
    }
  }
}

}  // namespace
}  // namespace duan::quant
