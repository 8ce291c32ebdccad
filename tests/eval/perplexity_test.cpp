#include "eval/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "models/model.h"
#include "support/models.h"

namespace duan::eval {
namespace {

TEST(Perplexity, NegativeLogLikelihoodIsMinusLogSoftmax) {
  const std::vector<float> logits = {0, std::log(2.0f), std::log(5.0f)};
  EXPECT_NEAR(negative_log_likelihood(logits, 1), std::log(8.0 / 2), 1e-6);
  const std::vector<float> large = {1000, 999};
  EXPECT_NEAR(negative_log_likelihood(large, 1), std::log(1 + std::exp(1.0)), 1e-9);
}

TEST(Perplexity, PredictsAllButTheFirstTokenOfEachSequence) {
  const models::Model model = models::Model::open(test::data_dir() / "models" / "qwen3-tied");
  engine::Options options;
  options.context = 64;
  options.threads = 1;
  const auto engine = engine::make_native(model.graph, model.checkpoint, options);
  const std::vector<std::vector<int64_t>> sequences = {{1, 2, 3, 4}, {9}, {5, 6}};
  std::vector<int64_t> seen;
  const Perplexity result = perplexity(*engine, sequences, [&](int64_t done) { seen.push_back(done); });
  EXPECT_EQ(result.tokens, 4);
  EXPECT_EQ(seen, (std::vector<int64_t>{1, 2, 3, 4, 5, 6}));
  EXPECT_GT(result.perplexity, 1);
  EXPECT_GT(result.standard_error, 0);
  EXPECT_THROW(perplexity(*engine, {{1}}), Error);
}

TEST(Perplexity, OfSomePositionsIsTheMeanOfTheirLosses) {
  const models::Model model = models::Model::open(test::data_dir() / "models" / "qwen3-tied");
  engine::Options options;
  options.context = 64;
  options.threads = 1;
  const auto engine = engine::make_native(model.graph, model.checkpoint, options);
  const std::vector<std::vector<int64_t>> sequences = {{1, 2, 3, 4, 5}, {9, 8}, {7}, {5, 6, 7}};
  const Predicted predicted = {{2, 4}, {}, {}, {1}};
  double total = 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    engine->truncate(0);
    engine->forward_all(sequences[i], [&](int64_t index, std::span<const float> logits) {
      for (const int64_t position : predicted[i]) {
        if (position != index + 1) continue;
        total += negative_log_likelihood(logits, sequences[i][static_cast<size_t>(position)]);
      }
    });
  }
  const Perplexity result = perplexity(*engine, sequences, {}, predicted);
  EXPECT_EQ(result.tokens, 3);
  EXPECT_NEAR(result.perplexity, std::exp(total / 3), 1e-9 * result.perplexity);
  // All positions are what none are.
  EXPECT_EQ(perplexity(*engine, {{1, 2, 3}, {9, 8}}, {}, {{1, 2}, {1}}).perplexity,
            perplexity(*engine, {{1, 2, 3}, {9, 8}}).perplexity);
  EXPECT_THROW(perplexity(*engine, {{1, 2, 3}}, {}, {{}}), Error);
}

TEST(Perplexity, TheIntervalIsThatOfTheLogLikelihood) {
  Mean loss;
  for (const double value : {1.0, 2.0, 3.0}) loss.add(value);
  const Perplexity result = perplexity_of(loss);
  EXPECT_DOUBLE_EQ(result.perplexity, std::exp(2.0));
  EXPECT_DOUBLE_EQ(result.standard_error, std::exp(2.0) / std::sqrt(3.0));
  EXPECT_NEAR(result.interval.low, std::exp(2 - 1.959964 / std::sqrt(3.0)), 1e-5);
  EXPECT_NEAR(result.interval.high, std::exp(2 + 1.959964 / std::sqrt(3.0)), 1e-5);
}

}  // namespace
}  // namespace duan::eval
