#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/cpu.h"
#include "base/error.h"
#include "engine/plan.h"
#include "eval/compare.h"
#include "support/models.h"

namespace duan {
namespace {

using engine::Compute;

engine::Options options_with(Compute compute, int threads, int64_t chunk, std::vector<std::string> disabled = {}) {
  engine::Options options;
  options.compute = compute;
  options.threads = threads;
  options.chunk = chunk;
  options.context = 256;
  options.disabled_fusions = std::move(disabled);
  return options;
}

std::vector<int64_t> random_ids(const models::Model& model, size_t count) {
  std::mt19937 random(7);
  std::vector<int64_t> ids(count);
  for (int64_t& id : ids) id = random() % static_cast<uint64_t>(model.config.vocab_size);
  return ids;
}

// All logits of 70 tokens, then of three single steps.
std::vector<float> all_logits(engine::Engine& engine, const std::vector<int64_t>& ids) {
  std::vector<float> all;
  const auto keep = [&](int64_t, std::span<const float> logits) {
    all.insert(all.end(), logits.begin(), logits.end());
  };
  engine.truncate(0);
  engine.forward_all(std::span(ids).first(70), keep);
  for (size_t i = 70; i < 73; ++i) {
    const auto logits = engine.forward(std::span(&ids[i], 1));
    all.insert(all.end(), logits.begin(), logits.end());
  }
  return all;
}

TEST(Native, EqualsTransformersOnEveryTinyModel) {
  for (const auto& folder : test::tiny_models()) {
    const models::Model model = models::Model::open(folder);
    for (const int64_t chunk : {1, 7, 512}) {
      const auto engine = engine::make_native(model.graph, model.checkpoint, options_with(Compute::fp32, 2, chunk));
      for (const auto& golden : test::goldens(folder)) {
        const eval::Comparison c = eval::compare(model, *engine, golden, 5e-4);
        EXPECT_LE(c.max_abs, 5e-4) << golden;
        EXPECT_TRUE(c.greedy_equal) << golden;
        EXPECT_EQ(c.first_divergence, "") << golden;
      }
    }
  }
}

TEST(Native, Bf16StaysCloseToFp32) {
  for (const auto& folder : test::tiny_models()) {
    const models::Model model = models::Model::open(folder);
    const auto engine = engine::make_native(model.graph, model.checkpoint, options_with(Compute::bf16, 1, 512));
    for (const auto& golden : test::goldens(folder)) {
      // Rounding each activation to 8 bits of mantissa: transformers' own bf16 reaches 3.7e-2 on such models.
      const eval::Comparison c = eval::compare(model, *engine, golden, 1e9);
      EXPECT_LE(c.rms, 3e-2 * c.logit_std) << golden;
      EXPECT_GT(c.rms, 0) << "bf16 was not used";
    }
  }
}

// Fewer than kInt16Rows rows are multiplied in fp32, more in 12 and 13 bits of each block's largest.
TEST(Native, Int16RoundsManyRowsOnly) {
  if (!cpu_has(Isa::avx2)) GTEST_SKIP() << "this processor has no avx2";
  for (const auto& folder : test::tiny_models()) {
    const models::Model model = models::Model::open(folder);
    const std::vector<int64_t> ids = random_ids(model, 73);
    const auto logits = [&](Compute compute, int threads, int64_t chunk) {
      return all_logits(*engine::make_native(model.graph, model.checkpoint, options_with(compute, threads, chunk)),
                        ids);
    };
    const std::vector<float> exact = logits(Compute::fp32, 1, 512), rounded = logits(Compute::int16, 1, 512);
    EXPECT_EQ(logits(Compute::int16, 3, 512), rounded) << folder;
    EXPECT_EQ(logits(Compute::int16, 1, kernels::kInt16Rows - 1), exact) << folder;
    double difference = 0, size = 0;
    for (size_t i = 0; i < exact.size(); ++i) {
      difference += std::pow(static_cast<double>(rounded[i]) - exact[i], 2);
      size += std::pow(static_cast<double>(exact[i]), 2);
    }
    EXPECT_LE(difference, 1e-6 * size) << folder;
    EXPECT_GT(difference, 0) << folder << ": int16 was not used";
  }
}

TEST(Native, BitIdenticalForAnyThreadsAndChunk) {
  for (const auto& folder : test::tiny_models()) {
    const models::Model model = models::Model::open(folder);
    const std::vector<int64_t> ids = random_ids(model, 73);
    for (const Compute compute : {Compute::fp32, Compute::bf16}) {
      const auto first = engine::make_native(model.graph, model.checkpoint, options_with(compute, 1, 512));
      const std::vector<float> expected = all_logits(*first, ids);
      for (const int threads : {1, 2, 4}) {
        for (const int64_t chunk : {1, 7, 16, 64, 512}) {
          const auto engine = engine::make_native(model.graph, model.checkpoint, options_with(compute, threads, chunk));
          EXPECT_EQ(all_logits(*engine, ids), expected) << folder << " threads " << threads << " chunk " << chunk;
        }
      }
    }
  }
}

TEST(Native, EveryFusionEqualsItsUnfusedTwin) {
  for (const auto& folder : test::tiny_models()) {
    const models::Model model = models::Model::open(folder);
    const std::vector<int64_t> ids = random_ids(model, 73);
    const auto fused = engine::make_native(model.graph, model.checkpoint, options_with(Compute::fp32, 2, 16));
    const std::vector<float> expected = all_logits(*fused, ids);
    std::vector<std::string> switches = engine::fusion_names();
    switches.emplace_back("all");
    for (const std::string& name : switches) {
      const auto engine =
          engine::make_native(model.graph, model.checkpoint, options_with(Compute::fp32, 2, 16, {name}));
      const std::vector<float> actual = all_logits(*engine, ids);
      for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(actual[i], expected[i], 5e-5) << name << " " << folder;
    }
  }
}

TEST(Native, TruncationForgetsExactlyWhatCameAfter) {
  const models::Model model = models::Model::open(test::tiny_models()[0]);
  const std::vector<int64_t> ids = random_ids(model, 60);
  const auto engine = engine::make_native(model.graph, model.checkpoint, options_with(Compute::fp32, 2, 16));
  const auto first = engine->forward(ids);
  const std::vector<float> expected(first.begin(), first.end());
  engine->truncate(20);
  EXPECT_EQ(engine->position(), 20);
  const auto again = engine->forward(std::span(ids).subspan(20));
  EXPECT_EQ(std::vector<float>(again.begin(), again.end()), expected);
}

TEST(Native, RefusesWhatDoesNotFit) {
  const models::Model model = models::Model::open(test::tiny_models()[0]);
  engine::Options options = options_with(Compute::fp32, 1, 16);
  options.context = 20;
  const auto engine = engine::make_native(model.graph, model.checkpoint, options);
  const std::vector<int64_t> ids(21, 1);
  EXPECT_THROW(engine->forward(ids), Error);
  EXPECT_EQ(engine->position(), 0);
  engine->forward(std::span(ids).first(20));
  EXPECT_THROW(engine->forward(std::span(ids).first(1)), Error);
  const int64_t outside = model.config.vocab_size;
  engine->truncate(0);
  EXPECT_THROW(engine->forward(std::span(&outside, 1)), Error);
  EXPECT_THROW(engine->forward({}), Error);
  options.disabled_fusions = {"no_such"};
  EXPECT_THROW(engine::make_native(model.graph, model.checkpoint, options), Error);
}

TEST(Native, RefusesACacheLargerThanTheMachine) {
  const models::Model model = models::Model::open(test::tiny_models()[0]);
  engine::Options options = options_with(Compute::fp32, 1, 16);
  options.context = int64_t{1} << 36;
  EXPECT_THROW(engine::make_native(model.graph, model.checkpoint, options), Error);
  options.context = int64_t{1} << 62;
  EXPECT_THROW(engine::make_native(model.graph, model.checkpoint, options), Error);
}

}  // namespace
}  // namespace duan
