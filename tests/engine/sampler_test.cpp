#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "base/error.h"

namespace duan::engine {
namespace {

const std::vector<float> kLogits = {1.0f, 3.0f, 2.0f, 2.9f, -1.0f};

std::map<int64_t, int> draw(const Sampling& base, int count, std::vector<bool> has_token = {}) {
  std::map<int64_t, int> counts;
  for (int i = 0; i < count; ++i) {
    Sampling sampling = base;
    sampling.seed = static_cast<uint64_t>(i);
    Sampler sampler(sampling, has_token);
    ++counts[sampler.next(kLogits)];
  }
  return counts;
}

TEST(Sampler, GreedyTakesTheLargestAndTheFirstOfEquals) {
  Sampler sampler({}, {});
  EXPECT_EQ(sampler.next(kLogits), 1);
  Sampler tie({}, {});
  const std::vector<float> equal = {0, 5, 5};
  EXPECT_EQ(tie.next(equal), 1);
}

TEST(Sampler, FollowsTheSoftmaxOfTheTemperature) {
  const int n = 4000;
  const auto counts = draw({.temperature = 0.7}, n);
  double total = 0;
  for (const float logit : kLogits) total += std::exp(logit / 0.7);
  for (size_t id = 0; id < kLogits.size(); ++id) {
    const double expected = std::exp(kLogits[id] / 0.7) / total;
    const double seen = counts.contains(static_cast<int64_t>(id)) ? counts.at(static_cast<int64_t>(id)) / double(n) : 0;
    EXPECT_NEAR(seen, expected, 4 * std::sqrt(expected / n) + 1e-3) << id;
  }
}

TEST(Sampler, TopKTopPAndMinPCutTheTail) {
  for (const auto& [id, count] : draw({.temperature = 1, .top_k = 2}, 500)) EXPECT_TRUE(id == 1 || id == 3);
  // Probabilities: 0.392, 0.355, 0.144, 0.053, 0.007 … of ids 1, 3, 2, 0, 4.
  for (const auto& [id, count] : draw({.temperature = 1, .top_p = 0.5}, 500)) EXPECT_TRUE(id == 1 || id == 3);
  EXPECT_EQ(draw({.temperature = 1, .top_p = 1e-9}, 50).size(), 1u);
  for (const auto& [id, count] : draw({.temperature = 1, .min_p = 0.3}, 500)) EXPECT_TRUE(id != 0 && id != 4);
}

TEST(Sampler, NeverChoosesWhatHasNoToken) {
  const std::vector<bool> has_token = {true, false, true, false};  // id 4 lies beyond
  for (const auto& [id, count] : draw({.temperature = 5}, 300, has_token)) EXPECT_TRUE(id == 0 || id == 2);
  Sampler greedy({}, has_token);
  EXPECT_EQ(greedy.next(kLogits), 2);
}

TEST(Sampler, PenaltiesLowerWhatWasSaid) {
  Sampler repetition({.repetition_penalty = 2}, {});
  const std::vector<int64_t> prompt = {1};
  repetition.observe_prompt(prompt);
  EXPECT_EQ(repetition.next(kLogits), 3);  // 3.0 / 2 < 2.9
  EXPECT_EQ(repetition.next(kLogits), 2);  // 2.9 / 2 < 2.0

  Sampler presence({.presence_penalty = 1.5}, {});
  presence.observe_prompt(prompt);  // of the answer only
  EXPECT_EQ(presence.next(kLogits), 1);
  EXPECT_EQ(presence.next(kLogits), 3);
  EXPECT_EQ(presence.next(kLogits), 2);
  EXPECT_EQ(presence.next(kLogits), 1);  // once, however often

  Sampler frequency({.frequency_penalty = 0.06}, {});
  EXPECT_EQ(frequency.next(kLogits), 1);
  EXPECT_EQ(frequency.next(kLogits), 1);
  EXPECT_EQ(frequency.next(kLogits), 3);

  Sampler negative({.repetition_penalty = 2}, {});
  const std::vector<int64_t> said = {0};
  negative.observe_prompt(said);
  EXPECT_EQ(negative.next(std::vector<float>{-1.0f, -1.5f}), 1);  // -1 * 2 < -1.5
}

TEST(Sampler, EqualSeedsGiveEqualTokens) {
  Sampler a({.temperature = 1, .seed = 42}, {}), b({.temperature = 1, .seed = 42}, {});
  for (int i = 0; i < 50; ++i) EXPECT_EQ(a.next(kLogits), b.next(kLogits));
}

TEST(Sampler, RefusesValuesOutOfRange) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(Sampler({.temperature = -1}, {}), Error);
  EXPECT_THROW(Sampler({.temperature = nan}, {}), Error);
  EXPECT_THROW(Sampler({.top_k = -1}, {}), Error);
  EXPECT_THROW(Sampler({.top_p = 0}, {}), Error);
  EXPECT_THROW(Sampler({.top_p = 1.1}, {}), Error);
  EXPECT_THROW(Sampler({.min_p = 2}, {}), Error);
  EXPECT_THROW(Sampler({.repetition_penalty = 0}, {}), Error);
  EXPECT_THROW(Sampler({.presence_penalty = nan}, {}), Error);
  EXPECT_THROW(Sampler({.frequency_penalty = 1e9}, {}), Error);
}

}  // namespace
}  // namespace duan::engine
