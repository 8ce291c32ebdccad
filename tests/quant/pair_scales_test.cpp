#include "quant/pair_scales.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "ir/subgraph.h"
#include "quant/support.h"

namespace duan::quant {
namespace {

// The first pair of a model (a norm and q, k, v), and what is needed to scale it.
struct FirstPair {
  explicit FirstPair(const Recipe& asked)
      : recipe(asked), modules(find_modules(model, blocks, recipe)), scaler(model, modules, recipe, pool) {
    const engine::WeightSource weights = engine::weights_of(model.checkpoint);
    const ir::Graph embedding = ir::subgraph(model.graph, blocks[0].first, blocks[0].last);
    run_block({embedding, weights, samples, 1}, {}, &hidden, {});
    const std::string value = model.graph.value(pair.value).name;
    BlockRun run{graph, weights, samples, 1};
    if (recipe.uses_grams()) run.grams = {value};
    input = run_block(run, hidden, nullptr, {{value, {}}}).at(value);
  }

  PairScales awq() {
    return scaler.awq(pair, input, graph, awq_rows(hidden, samples, true, 0), [this](double part) {
      EXPECT_GT(part, progress);
      progress = part;
    });
  }

  Recipe recipe;
  models::Model model = models::Model::open(test::data_dir() / "models/qwen3-untied");
  std::vector<Block> blocks = find_blocks(model.graph);
  std::vector<Module> modules;
  ThreadPool pool{1};
  PairScaler scaler;
  SmoothingPair pair = find_smoothing(model.graph).pairs.front();
  ir::Graph graph = ir::subgraph(model.graph, blocks[1].first, blocks[1].last);
  CalibrationSet samples = test::some_samples(model.config.vocab_size);
  HiddenStates hidden;
  InputStatistics input;
  double progress = 0;
};

Recipe recipe_for(Method method, std::vector<std::string> keep = {}) {
  Recipe recipe = test::options_for(method).recipe;
  recipe.weights.group_size = recipe.packed() ? 16 : 0;
  recipe.keep = std::move(keep);
  return recipe;
}

bool are_powers_of_two(const std::vector<float>& numbers) {
  int exponent = 0;
  return std::all_of(numbers.begin(), numbers.end(),
                     [&](float number) { return std::frexp(number, &exponent) == 0.5f; });
}

TEST(PairScales, SayWhatChoseThem) {
  for (const Method method : {Method::awq, Method::awq_gptq}) {
    FirstPair awq(recipe_for(method));
    const PairScales chosen = awq.awq();
    EXPECT_EQ(awq.progress, 1);
    EXPECT_EQ(chosen.divisors.empty(), !chosen.note.empty());
    for (const char* key : {"ratio", "duo_scaling", "loss_before", "loss_after"}) EXPECT_TRUE(chosen.how.contains(key));
  }

  Recipe recipe = recipe_for(Method::int8_dynamic);
  recipe.alpha = 0.5;
  FirstPair smoothquant(recipe);
  const PairScales smoothed = smoothquant.scaler.smoothquant(smoothquant.pair, smoothquant.input);
  EXPECT_EQ(smoothed.how, (Json{{"alpha", 0.5}}));
  EXPECT_EQ(smoothed.divisors.size(), 64u);
  EXPECT_FALSE(are_powers_of_two(smoothed.divisors));
}

// The norm's stored weight times the scale is the source's.
TEST(PairScales, AreWhatDividingTheNormReallyDoes) {
  Recipe recipe = recipe_for(Method::int8_dynamic);
  recipe.alpha = 0.7;
  FirstPair first(recipe);
  const PairScales scales = first.scaler.smoothquant(first.pair, first.input);
  const SourceMatrix norm(first.model.checkpoint, "model.layers.0.input_layernorm.weight", {64});
  ASSERT_EQ(norm.dtype(), DType::bf16);
  std::vector<float> weight(64);
  norm.read(0, 1, weight.data());
  for (size_t c = 0; c < weight.size(); ++c) {
    const float stored = nearest(DType::bf16, weight[c] / scales.divisors[c]);
    EXPECT_FLOAT_EQ(stored * scales.divisors[c], weight[c]) << c;
  }
}

TEST(PairScales, ArePowersOfTwoWhereAMatrixIsKept) {
  Recipe recipe = recipe_for(Method::int8_dynamic, {R"(layers\.0\.self_attn\.k_proj)"});
  recipe.alpha = 0.5;
  FirstPair kept(recipe);
  EXPECT_TRUE(are_powers_of_two(kept.scaler.smoothquant(kept.pair, kept.input).divisors));
  FirstPair awq(recipe_for(Method::awq, {R"(layers\.0\.self_attn\.k_proj)"}));
  for (float& mean : awq.input.channel_mean) mean = 1;
  awq.input.channel_mean[5] = 1000;  // scaled for sure
  EXPECT_TRUE(are_powers_of_two(awq.awq().divisors));
}

TEST(PairScales, AreNoneWhereEveryConsumerIsKeptOrReadsZeros) {
  for (const Method method : {Method::awq, Method::int8_dynamic}) {
    FirstPair first(recipe_for(method, {R"(layers\.0\.self_attn)"}));
    const PairScales scales = method == Method::awq ? first.awq() : first.scaler.smoothquant(first.pair, first.input);
    EXPECT_EQ(scales.note, "its consumers are kept");
    EXPECT_TRUE(scales.divisors.empty());
  }
  FirstPair first(recipe_for(Method::awq));
  std::fill(first.input.channel_mean.begin(), first.input.channel_mean.end(), 0.0f);
  std::string warning;
  set_warning_sink([&](const std::string& line) { warning = line; });
  const PairScales scales = first.awq();
  set_warning_sink({});
  EXPECT_EQ(scales.note, "every calibration input is 0");
  EXPECT_NE(warning.find("self_attn.q_proj: every calibration input is 0"), std::string::npos) << warning;
  EXPECT_TRUE(scales.divisors.empty());
}

}  // namespace
}  // namespace duan::quant
