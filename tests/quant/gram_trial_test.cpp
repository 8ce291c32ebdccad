#include "quant/gram_trial.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ir/subgraph.h"
#include "quant/awq.h"
#include "quant/modules.h"
#include "quant/smoothing.h"
#include "quant/support.h"
#include "support/models.h"

namespace duan::quant {
namespace {

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

// The feed-forward half of a model's first layer: its pairs, what their consumers read, and their Gram matrices.
struct FeedForward {
  explicit FeedForward(const char* name)
      : model(models::Model::open(test::data_dir() / "models" / name)),
        samples(test::some_samples(model.config.vocab_size, 3, 20)),
        weights(engine::weights_of(model.checkpoint)) {
    const std::vector<Block> blocks = find_blocks(model.graph);
    for (size_t b = 0; b < 2; ++b) {
      HiddenStates out;
      run_block({ir::subgraph(model.graph, blocks[b].first, blocks[b].last), weights, samples, 1}, hidden, &out, {});
      hidden = std::move(out);
    }
    graph = ir::subgraph(model.graph, blocks[2].first, blocks[2].last);
    BlockRun run{graph, weights, samples, 1};
    Observed observed;
    for (const SmoothingPair& pair : find_smoothing(model.graph).pairs) {
      if (pair.producer < blocks[2].first || pair.consumers.back() >= blocks[2].last) continue;
      pairs.push_back(pair);
      observed[model.graph.value(pair.value).name];
      run.grams.insert(model.graph.value(pair.value).name);
    }
    inputs = run_block(run, hidden, nullptr, observed);
  }

  const InputStatistics& input(const SmoothingPair& pair) const {
    return inputs.at(model.graph.value(pair.value).name);
  }

  std::vector<SourceMatrix> consumers(const SmoothingPair& pair) const {
    std::vector<SourceMatrix> matrices;
    for (const ir::NodeId id : pair.consumers) {
      const ir::WeightInfo& info = model.graph.weight(std::get<ir::Linear>(model.graph.node(id).op).weight);
      matrices.emplace_back(model.checkpoint, info.name, info.shape);
    }
    return matrices;
  }

  models::Model model;
  CalibrationSet samples;
  engine::WeightSource weights;
  ir::Graph graph;
  HiddenStates hidden;
  std::vector<SmoothingPair> pairs;
  std::map<std::string, InputStatistics> inputs;
};

TEST(GramTrial, TheLossIsThatOfRunningTheLayer) {
  for (const char* name : {"qwen3-untied", "qwen2"}) {
    const FeedForward half(name);
    ASSERT_EQ(half.pairs.size(), 2u);
    const SmoothingPair& pair = half.pairs.back();  // down_proj alone reads it, and AwqTrial judges that layer itself
    const AwqSplit split = awq_split(half.graph, half.model.graph.value(pair.value).name);
    const Sequences rows = run_sequences(split.before, half.weights, awq_rows(half.hidden, half.samples, false, 0), 1);
    for (const bool symmetric : {true, false}) {
      const WeightRounding rounding{
          .bits = 4, .group_size = 16, .symmetric = symmetric, .observer = WeightObserver::mse};
      std::vector<float> scales(half.input(pair).channel_mean.size());
      for (size_t c = 0; c < scales.size(); ++c) scales[c] = 0.3f + 0.37f * static_cast<float>(c % 11);
      std::vector<double> found;
      for (const int threads : {1, 3}) {
        ThreadPool pool(threads);
        GramTrial trial(*half.input(pair).gram, half.consumers(pair), rounding, 0, pool);
        found.push_back(trial.loss(scales, kNoLimit));
        EXPECT_EQ(trial.loss(scales, kNoLimit), found.back());
        EXPECT_GT(trial.loss(scales, found.back() / 8), found.back() / 8);
      }
      EXPECT_EQ(found[0], found[1]);
      ThreadPool pool(1);
      AwqTrial trial(split.after, half.weights, half.consumers(pair), rounding, rows, pool);
      EXPECT_NEAR(found[0] / trial.loss(scales, kNoLimit), 1, 1e-3) << name << symmetric;
    }
  }
}

TEST(GramTrial, SomeRowsTellMuchOfAll) {
  const FeedForward half("qwen3-untied");
  const SmoothingPair& pair = half.pairs.front();  // gate_proj and up_proj
  ThreadPool pool(2);
  const WeightRounding rounding{.bits = 4, .group_size = 16};
  GramTrial all(*half.input(pair).gram, half.consumers(pair), rounding, 0, pool),
      more(*half.input(pair).gram, half.consumers(pair), rounding, 1 << 20, pool),
      some(*half.input(pair).gram, half.consumers(pair), rounding, 40, pool);
  const std::vector<float> ones(half.input(pair).channel_mean.size(), 1.0f);
  EXPECT_EQ(all.loss(ones, kNoLimit), more.loss(ones, kNoLimit));
  EXPECT_NE(all.loss(ones, kNoLimit), some.loss(ones, kNoLimit));
  EXPECT_NEAR(some.loss(ones, kNoLimit) / all.loss(ones, kNoLimit), 1, 0.25);
}

}  // namespace
}  // namespace duan::quant
