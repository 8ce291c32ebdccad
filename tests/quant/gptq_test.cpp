#include "quant/gptq.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "base/error.h"

namespace duan::quant {
namespace {

// A layer and correlated inputs, some channels of which are large and one of which is always 0.
struct Layer {
  Layer(size_t columns_, size_t rows_, size_t tokens_ = 300) : columns(columns_), rows(rows_), tokens(tokens_) {
    std::mt19937 random(21);
    std::normal_distribution<float> normal(0, 1);
    x.resize(tokens * columns);
    for (size_t t = 0; t < tokens; ++t) {
      float common = 0;
      for (size_t c = 0; c < columns; ++c) {
        common = 0.8f * common + normal(random);
        x[t * columns + c] = c == 3 ? 0 : common * (c % 11 == 5 ? 6.0f : 1.0f);
      }
    }
    w.resize(rows * columns);
    for (float& number : w) number = 0.02f * normal(random);
  }

  Gram gram(ThreadPool& pool) const {
    Gram gram(static_cast<int64_t>(columns));
    gram.add(static_cast<int64_t>(tokens), x.data(), pool);
    gram.finish(pool);
    return gram;
  }

  // The layer as it is where channels are divided before.
  std::vector<float> adjusted(const std::vector<float>& divisors) const {
    std::vector<float> scaled = w;
    for (size_t i = 0; i < scaled.size() && !divisors.empty(); ++i) scaled[i] *= divisors[i % columns];
    return scaled;
  }

  // The mean over tokens of (x / divisors) * change, squared.
  double loss(std::span<const float> change, const std::vector<float>& divisors) const {
    double sum = 0;
    for (size_t t = 0; t < tokens; ++t) {
      double y = 0;
      for (size_t c = 0; c < columns; ++c) {
        y += static_cast<double>(x[t * columns + c]) / (divisors.empty() ? 1.0f : divisors[c]) * change[c];
      }
      sum += y * y;
    }
    return sum / static_cast<double>(tokens);
  }

  size_t columns, rows, tokens;
  std::vector<float> x, w;  // [tokens, columns], [rows, columns]
};

std::vector<RoundedRow> to_nearest(const std::vector<float>& w, size_t columns, const WeightRounding& rounding) {
  std::vector<RoundedRow> rows(w.size() / columns);
  for (size_t n = 0; n < rows.size(); ++n) round_row(std::span(w).subspan(n * columns, columns), rounding, rows[n]);
  return rows;
}

using Matrix = std::vector<std::vector<double>>;

// GPTQ as its paper has it, with the inverse of H.
struct Paper {
  Paper(const Layer& layer, const std::vector<float>& divisors) {
    const size_t n = layer.columns;
    Matrix h(n, std::vector<double>(n, 0.0));
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) {
        for (size_t t = 0; t < layer.tokens; ++t) {
          h[i][j] += static_cast<double>(layer.x[t * n + i]) * layer.x[t * n + j];
        }
        h[i][j] /= static_cast<double>(layer.tokens);
        if (!divisors.empty()) h[i][j] /= static_cast<double>(divisors[i]) * divisors[j];
      }
    }
    order.resize(n);
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return h[a][a] > h[b][b]; });
    Matrix a(n, std::vector<double>(2 * n, 0.0));  // H in that order beside the identity
    double mean = 0;
    for (size_t i = 0; i < n; ++i) {
      if (h[i][i] == 0) h[i][i] = 1;
      mean += h[i][i] / static_cast<double>(n);
    }
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = 0; j < n; ++j) a[i][j] = h[order[i]][order[j]] + (i == j ? 0.01 * mean : 0);
      a[i][n + i] = 1;
    }
    for (size_t k = 0; k < n; ++k) {
      const double pivot = a[k][k];
      for (double& value : a[k]) value /= pivot;
      for (size_t i = 0; i < n; ++i) {
        const double factor = a[i][k];
        for (size_t j = 0; j < 2 * n && i != k && factor != 0; ++j) a[i][j] -= factor * a[k][j];
      }
    }
    upper.assign(n, std::vector<double>(n, 0.0));  // U^T U = H^-1
    for (size_t i = 0; i < n; ++i) {
      for (size_t j = i; j < n; ++j) {
        double value = a[i][n + j];
        for (size_t k = 0; k < i; ++k) value -= upper[k][i] * upper[k][j];
        upper[i][j] = i == j ? std::sqrt(value) : value / upper[i][i];
      }
    }
  }

  // Holds the codes of a row against those of the paper; false where a tie makes the rest differ.
  bool agrees(std::span<const float> weights, const WeightRounding& rounding, const RoundedRow& row) const {
    const size_t n = order.size(), group_size = rounding.group_size == 0 ? n : static_cast<size_t>(rounding.group_size);
    std::vector<double> w(n);
    for (size_t j = 0; j < n; ++j) w[j] = weights[order[j]];
    for (size_t j = 0; j < n; ++j) {
      const size_t group = order[j] / group_size;
      const double scale = row.scales[group], zero_point = row.zero_points[group];
      const double exact = std::clamp(w[j] / scale + zero_point, double(rounding.lowest()), double(rounding.highest()));
      const double code = std::nearbyint(exact);
      if (code != row.codes[order[j]]) {
        EXPECT_NEAR(std::abs(exact - std::floor(exact)), 0.5, 2e-3) << "step " << j;
        EXPECT_NEAR(exact, row.codes[order[j]], 0.51) << "step " << j;
        return false;
      }
      const double error = (w[j] - (code - zero_point) * scale) / upper[j][j];
      for (size_t k = j; k < n; ++k) w[k] -= error * upper[j][k];
    }
    return true;
  }

  std::vector<size_t> order;
  Matrix upper;
};

TEST(Gptq, ChoosesTheCodesOfThePaper) {
  const Layer layer(160, 70);  // more than a panel of columns and than a thread's rows
  std::vector<float> some(160);
  for (size_t c = 0; c < some.size(); ++c) some[c] = c % 11 == 5 ? 2.5f : 0.75f;
  for (const std::vector<float>& divisors : {std::vector<float>{}, some}) {
    const Paper paper(layer, divisors);
    const std::vector<float> w = layer.adjusted(divisors);
    ThreadPool pool(2);
    const Gptq gptq(layer.gram(pool), divisors, "layer", pool);
    for (const int bits : {4, 8}) {
      for (const int64_t group_size : {0, 16, 80}) {
        for (const bool symmetric : {true, false}) {
          const WeightRounding rounding{bits, group_size, symmetric, WeightObserver::mse, DType::bf16};
          std::vector<RoundedRow> rows = to_nearest(w, layer.columns, rounding);
          std::vector<Gptq::Loss> losses(rows.size());
          gptq.round(w, rounding, rows, losses, pool);
          int ties = 0;
          for (size_t n = 0; n < rows.size(); ++n) {
            ties += !paper.agrees(std::span(w).subspan(n * layer.columns, layer.columns), rounding, rows[n]);
          }
          EXPECT_LE(ties, 2) << bits << " " << group_size << " " << symmetric;
        }
      }
    }
  }
}

TEST(Gptq, ChangesOutputsLessThanRoundingToNearest) {
  for (const size_t columns : {96, 257}) {
    const Layer layer(columns, 40, 200);  // fewer tokens than channels in one of them
    std::vector<float> divisors(columns);
    for (size_t c = 0; c < columns; ++c) divisors[c] = 0.5f + static_cast<float>(c % 5);
    ThreadPool one(1), three(3);
    const Gptq gptq(layer.gram(one), divisors, "layer", one), again(layer.gram(three), divisors, "layer", three);
    const std::vector<float> w = layer.adjusted(divisors);
    const WeightRounding rounding{.bits = 4, .symmetric = false};
    const std::vector<RoundedRow> before = to_nearest(w, columns, rounding);
    std::vector<RoundedRow> rows = before, others = before;
    std::vector<Gptq::Loss> losses(rows.size()), other_losses(rows.size());
    gptq.round(w, rounding, rows, losses, one);
    again.round(w, rounding, others, other_losses, three);
    double sum_before = 0, sum_after = 0;
    std::vector<float> values(columns);
    for (size_t n = 0; n < rows.size(); ++n) {
      EXPECT_EQ(rows[n].codes, others[n].codes);
      EXPECT_EQ(losses[n].after, other_losses[n].after);
      EXPECT_EQ(rows[n].scales, before[n].scales);
      EXPECT_EQ(rows[n].zero_points, before[n].zero_points);
      const auto loss_of = [&](const RoundedRow& row) {
        dequantize_row(row, rounding, values);
        for (size_t c = 0; c < columns; ++c) values[c] -= w[n * columns + c];
        return layer.loss(values, divisors);
      };
      ASSERT_EQ(losses[n].before.has_value(), n % kLossRows == 0);
      EXPECT_NEAR(losses[n].after / loss_of(rows[n]), 1, 1e-2);
      EXPECT_EQ(rows[n].codes[3], before[n].codes[3]);  // its input is always 0
      if (!losses[n].before) continue;
      EXPECT_NEAR(*losses[n].before / loss_of(before[n]), 1, 1e-3);
      sum_before += *losses[n].before;
      sum_after += losses[n].after;
    }
    EXPECT_LT(sum_after, 0.4 * sum_before);
  }
}

// What the output lacks moves the weights by b H^-1: the codes are those of the paper for the weights moved so.
TEST(Gptq, MakesUpForWhatTheOutputLacks) {
  const Layer layer(160, 20);
  const size_t n = layer.columns;
  std::vector<float> divisors(n);
  for (size_t c = 0; c < n; ++c) divisors[c] = c % 11 == 5 ? 2.5f : 0.75f;
  const Paper paper(layer, divisors);
  const std::vector<float> w = layer.adjusted(divisors);
  std::vector<float> direction(layer.rows * n), lacking(w.size()), moved(w);  // d = x * direction
  std::mt19937 random(5);
  for (float& number : direction) number = std::normal_distribution<float>(0, 0.02f)(random);
  for (size_t row = 0; row < layer.rows; ++row) {
    std::vector<double> b(n), half(n);
    for (size_t t = 0; t < layer.tokens; ++t) {
      const float* x = layer.x.data() + t * n;
      double d = 0;
      for (size_t c = 0; c < n; ++c) d += static_cast<double>(x[c]) * direction[row * n + c];
      for (size_t c = 0; c < n; ++c) b[c] += d * x[c] / divisors[c] / static_cast<double>(layer.tokens);
    }
    for (size_t i = 0; i < n; ++i) {  // H^-1 = U^T U
      for (size_t j = i; j < n; ++j) half[i] += paper.upper[i][j] * b[paper.order[j]];
    }
    for (size_t c = 0; c < n; ++c) lacking[row * n + c] = static_cast<float>(b[c]);
    for (size_t j = 0; j < n; ++j) {
      double move = 0;
      for (size_t i = 0; i <= j; ++i) move += paper.upper[i][j] * half[i];
      moved[row * n + paper.order[j]] += static_cast<float>(kCarriedPart * move);
    }
  }
  ThreadPool pool(2);
  Gptq gptq(layer.gram(pool), divisors, "layer", pool);
  gptq.expect_lacking(pool);
  const WeightRounding rounding{4, 16, true, WeightObserver::minmax, DType::f32};
  std::vector<RoundedRow> rows = to_nearest(moved, n, rounding), without = rows;
  std::vector<Gptq::Loss> losses(rows.size()), others(rows.size());
  gptq.round(w, rounding, rows, losses, pool, {lacking, {}, 0});
  gptq.round(w, rounding, without, others, pool);
  int ties = 0;
  std::vector<float> values(n);
  double with_it = 0, without_it = 0;
  for (size_t row = 0; row < layer.rows; ++row) {
    ties += !paper.agrees(std::span(moved).subspan(row * n, n), rounding, rows[row]);
    if (losses[row].before) {
      EXPECT_LE(losses[row].after, *losses[row].before);
    }
    const auto left = [&](const RoundedRow& rounded) {  // of d
      dequantize_row(rounded, rounding, values);
      for (size_t c = 0; c < n; ++c) values[c] -= w[row * n + c] + direction[row * n + c] * divisors[c];
      return layer.loss(values, divisors);
    };
    with_it += left(rows[row]);
    without_it += left(without[row]);
  }
  EXPECT_LE(ties, 4);
  EXPECT_LT(with_it, 0.5 * without_it);

  // Of squares that large, chance explains as much; of none, nothing.
  const std::vector<double> large(rows.size(), 1e9);
  std::vector<RoundedRow> others_rows = to_nearest(moved, n, rounding);
  gptq.round(w, rounding, others_rows, losses, pool, {lacking, large, static_cast<double>(layer.tokens)});
  for (size_t row = 0; row < layer.rows; ++row) EXPECT_EQ(others_rows[row].codes, without[row].codes);
  const std::vector<double> none(rows.size(), 0.0);
  gptq.round(w, rounding, others_rows, losses, pool, {lacking, none, static_cast<double>(layer.tokens)});
  for (size_t row = 0; row < layer.rows; ++row) EXPECT_EQ(others_rows[row].codes, rows[row].codes);
}

TEST(Gptq, NamesLayersWhoseInputsHaveNoSquares) {
  ThreadPool pool(1);
  Gram gram(2);
  gram.add(1, std::vector<float>{1e25f, 1}.data(), pool);
  gram.finish(pool);
  try {
    Gptq(std::move(gram), {}, "model.layers.0.mlp.down_proj", pool);
    ADD_FAILURE() << "not refused";
  } catch (const Error& e) {
    EXPECT_EQ(e.where(), "model.layers.0.mlp.down_proj");
    EXPECT_NE(e.message().find("too large or too small for their squares"), std::string::npos);
  }
}

}  // namespace
}  // namespace duan::quant
