#include "quant/awq.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/engine.h"
#include "ir/subgraph.h"
#include "quant/modules.h"
#include "quant/smoothing.h"
#include "quant/support.h"
#include "support/models.h"

namespace duan::quant {
namespace {

namespace fs = std::filesystem;
constexpr double kNoLimit = std::numeric_limits<double>::infinity();

// A block of a model that holds smoothing pairs, and calibration rows of what it reads.
struct BlockOf {
  BlockOf(const models::Model& model, size_t index, size_t samples_count = 3)
      : samples(test::some_samples(model.config.vocab_size, samples_count, 10)),
        weights(engine::weights_of(model.checkpoint)) {
    const std::vector<Block> blocks = find_blocks(model.graph);
    for (size_t b = 0; b <= index; ++b) {
      graph = ir::subgraph(model.graph, blocks[b].first, blocks[b].last);
      if (b == index) break;
      HiddenStates out;
      run_block({graph, weights, samples, 1}, hidden, &out, {});
      hidden = std::move(out);
    }
    for (const SmoothingPair& pair : find_smoothing(model.graph).pairs) {
      if (pair.producer >= blocks[index].first && pair.consumers.back() < blocks[index].last) pairs.push_back(pair);
    }
  }

  CalibrationSet samples;
  engine::WeightSource weights;
  ir::Graph graph;
  HiddenStates hidden;
  std::vector<SmoothingPair> pairs;
};

std::vector<SourceMatrix> consumers_of(const models::Model& model, const SmoothingPair& pair) {
  std::vector<SourceMatrix> matrices;
  for (const ir::NodeId id : pair.consumers) {
    const ir::WeightInfo& info = model.graph.weight(std::get<ir::Linear>(model.graph.node(id).op).weight);
    matrices.emplace_back(model.checkpoint, info.name, info.shape);
  }
  return matrices;
}

std::vector<float> some_scales(int64_t count) {
  std::vector<float> scales;
  for (int64_t c = 0; c < count; ++c) scales.push_back(0.3f + 0.37f * static_cast<float>(c % 11));
  return scales;
}

// ---- candidates

TEST(Awq, TriesTwentyCandidatesNoScalingFirst) {
  for (const DuoScaling duo : {DuoScaling::on, DuoScaling::off, DuoScaling::both}) {
    const std::vector<AwqPoint> grid = awq_grid(duo);
    ASSERT_EQ(grid.size(), 20u);
    EXPECT_EQ(grid[0].ratio, 0);
    EXPECT_FALSE(grid[0].duo);
    EXPECT_EQ(grid.back().ratio, 1);
    EXPECT_EQ(grid.back().duo, duo != DuoScaling::off);
  }
  EXPECT_NEAR(awq_grid(DuoScaling::on)[7].ratio, 6.0 / 18, 1e-15);
  EXPECT_NEAR(awq_grid(DuoScaling::both)[7].ratio, 3.0 / 9, 1e-15);
  EXPECT_FALSE(awq_grid(DuoScaling::both)[6].duo);
  EXPECT_NEAR(awq_grid(DuoScaling::off)[7].ratio, 7.0 / 19, 1e-15);
}

TEST(Awq, ScalesFollowTheFormula) {
  const std::vector<float> x{4, 1, 0.25f};
  const std::vector<double> w{0.25, 0.0625, 1};
  // sqrt(x) = 2, 1, 1/2, whose largest and smallest are 1 / each other.
  const std::vector<float> off = awq_scales(x, w, {0.5, false});
  EXPECT_FLOAT_EQ(off[0], 2);
  EXPECT_FLOAT_EQ(off[1], 1);
  EXPECT_FLOAT_EQ(off[2], 0.5f);
  const std::vector<float> on = awq_scales(x, w, {0.5, true});
  const double s[] = {2 / (0.5 + 1e-4), 1 / (0.25 + 1e-4), 0.5 / (1 + 1e-4)};
  for (size_t c = 0; c < 3; ++c) EXPECT_NEAR(on[c], s[c] / std::sqrt(s[0] * s[2]), 1e-6);
  EXPECT_EQ(awq_scales(x, w, {0, false}), (std::vector<float>{1, 1, 1}));
}

TEST(Awq, ChannelsWithoutInputsGetTheLeastScaleAndNothingIsInfinite) {
  const std::vector<float> scales = awq_scales(std::vector<float>{0, 100}, std::vector<double>{0.5, 0.5}, {1, false});
  EXPECT_FLOAT_EQ(scales[0], 1e-4f / std::sqrt(100 * 1e-4f));
  EXPECT_FLOAT_EQ(scales[0] * scales[1], 1);
  for (const float scale : awq_scales(std::vector<float>{0, 0}, std::vector<double>{0, 0.5}, {0.5, true})) {
    EXPECT_EQ(scale, 1);
  }
  for (const float scale : awq_scales(std::vector<float>{std::numeric_limits<float>::infinity(), 1},
                                      std::vector<double>{1, 1}, {1, false})) {
    EXPECT_EQ(scale, 1);
  }
}

TEST(Awq, WeightMeansAreOfEachNumberWithinItsGroup) {
  const models::Model model = models::Model::open(test::data_dir() / "models/qwen3-untied");
  const std::vector<SourceMatrix> matrices = consumers_of(model, find_smoothing(model.graph).pairs.front());
  ASSERT_EQ(matrices.size(), 3u);
  const auto columns = static_cast<size_t>(matrices[0].columns());
  for (const size_t group : {size_t{16}, columns}) {
    std::vector<double> expected(columns, 0.0);
    double rows = 0;
    for (const SourceMatrix& matrix : matrices) {
      std::vector<float> row(columns);
      for (int64_t n = 0; n < matrix.rows(); ++n) {
        matrix.read(n, 1, row.data());
        for (size_t c = 0; c < columns; ++c) {
          double most = 0;
          for (size_t i = c / group * group; i < (c / group + 1) * group; ++i) {
            most = std::max<double>(most, std::abs(row[i]));
          }
          expected[c] += std::abs(row[c]) / (most + 1e-6);
        }
        ++rows;
      }
    }
    std::vector<std::vector<double>> found;
    for (const int threads : {1, 3}) {
      ThreadPool pool(threads);
      found.push_back(awq_weight_means(matrices, group == columns ? 0 : static_cast<int64_t>(group), pool));
    }
    EXPECT_EQ(found[0], found[1]);
    for (size_t c = 0; c < columns; ++c) EXPECT_NEAR(found[0][c], expected[c] / rows, 1e-7);
  }
}

// ---- what they are tried on

TEST(Awq, RowsAreAllOfThemOrSomeFromEverywhere) {
  CalibrationSet samples;
  HiddenStates hidden{1, {}};
  for (size_t s = 0; s < 40; ++s) {
    samples.samples.emplace_back(25 + s % 3, 0);
    for (size_t t = 0; t < samples.samples.back().size(); ++t) hidden.values.push_back(static_cast<float>(100 * s + t));
  }
  for (const bool whole : {false, true}) {
    EXPECT_EQ(awq_rows(hidden, samples, whole, 0).values, hidden.values);
    EXPECT_EQ(awq_rows(hidden, samples, whole, 5000).values, hidden.values);
  }
  const Sequences some = awq_rows(hidden, samples, false, 300);
  EXPECT_EQ(some.values.size(), 300u);
  EXPECT_EQ(some.lengths, (std::vector<int64_t>{256, 44}));
  EXPECT_TRUE(std::is_sorted(some.values.begin(), some.values.end()));
  EXPECT_EQ(std::adjacent_find(some.values.begin(), some.values.end()), some.values.end());
  EXPECT_LT(some.values.front(), 100);
  EXPECT_GE(some.values.back(), 3900);
  // First tokens are as frequent as among all.
  const auto firsts =
      std::count_if(some.values.begin(), some.values.end(), [](float v) { return std::fmod(v, 100) < 2; });
  EXPECT_GT(firsts, 300 / 40);
  EXPECT_LT(firsts, 300 / 6);

  const Sequences sequences = awq_rows(hidden, samples, true, 200);
  EXPECT_EQ(sequences.lengths.size(), 8u);
  size_t at = 0;
  for (size_t i = 0; i < sequences.lengths.size(); ++i) {
    EXPECT_EQ(sequences.values[at], static_cast<float>(100 * (5 * i)));
    EXPECT_EQ(sequences.lengths[i], static_cast<int64_t>(samples.samples[5 * i].size()));
    at += static_cast<size_t>(sequences.lengths[i]);
  }
  EXPECT_EQ(at, sequences.values.size());
  EXPECT_EQ(awq_rows(hidden, samples, true, 52).lengths.size(), 4u);
  EXPECT_EQ(awq_rows(hidden, samples, true, 1).lengths.size(), 1u);
}

TEST(Awq, ModulesEndAtWhatTheBlockAdds) {
  for (const auto& folder : test::tiny_models()) {
    const models::Model model = models::Model::open(folder);
    const size_t blocks = find_blocks(model.graph).size();
    size_t pairs = 0;
    for (size_t b = 1; b + 1 < blocks; ++b) {
      const BlockOf block(model, b, 1);
      for (const SmoothingPair& pair : block.pairs) {
        const std::string value = model.graph.value(pair.value).name;
        const AwqSplit split = awq_split(block.graph, value);
        const ir::Node& last = split.after.nodes.back();
        EXPECT_TRUE(last.name.ends_with("o_proj") || last.name.ends_with("down_proj")) << last.name;
        EXPECT_EQ(split.before.value(split.before.outputs[0]).name, value);
        // Both halves make what the block makes.
        Sequences whole = awq_rows(block.hidden, block.samples, true, 0);
        const Sequences read = run_sequences(split.before, block.weights, whole, 1);
        const Sequences made = run_sequences(split.after, block.weights, read, 1);
        HiddenStates out;
        run_block({block.graph, block.weights, block.samples, 1}, block.hidden, &out, {});
        ASSERT_EQ(made.values.size(), out.values.size());
        for (size_t i = 0; i < out.values.size(); ++i) {
          ASSERT_NEAR(whole.values[i] + made.values[i], out.values[i], 1e-4f) << value;
        }
        ++pairs;
      }
    }
    EXPECT_GE(pairs, 3 * static_cast<size_t>(model.config.num_hidden_layers)) << folder;
  }
}

// ---- their loss

// The consumers of a pair stored rounded in a copy of the model, which the interpreter runs: what it makes of o_proj or
// down_proj is held against the source's.
double loss_by_the_interpreter(const models::Model& model, const BlockOf& block, const SmoothingPair& pair,
                               const WeightRounding& rounding, const std::vector<float>& scales) {
  const test::TemporaryDir dir;
  fs::path from = model.folder;
  int copies = 0;
  for (const SourceMatrix& matrix : consumers_of(model, pair)) {
    const fs::path to = dir.path() / std::to_string(copies++);
    const size_t columns = scales.size();
    test::copy_model_with(from, to, matrix.name(), [&](std::vector<float>& values) {
      RoundedRow row;
      for (size_t at = 0; at < values.size(); at += columns) {
        const auto w = std::span(values).subspan(at, columns);
        for (size_t c = 0; c < columns; ++c) w[c] *= scales[c];
        round_row(w, rounding, row);
        dequantize_row(row, rounding, w);
        for (size_t c = 0; c < columns; ++c) w[c] /= scales[c];
      }
    });
    from = to;
  }
  const models::Model changed = models::Model::open(from);
  std::string end;
  for (const ir::NodeId id : pair.consumers) end = model.graph.node(id).name;
  const std::string ending = end.find("self_attn") != std::string::npos ? "o_proj" : "down_proj";
  end = end.substr(0, end.rfind('.') + 1) + ending;
  std::vector<float> outputs[2];
  for (const bool is_changed : {false, true}) {
    const models::Model& of = is_changed ? changed : model;
    engine::Options options;
    options.context = 64;
    const auto engine = engine::make_reference(of.graph, of.checkpoint, options);
    engine->set_probe([&](ir::ValueId value, int64_t, int64_t rows, int64_t width, const float* data) {
      if (of.graph.value(value).name == end) {
        outputs[is_changed].insert(outputs[is_changed].end(), data, data + rows * width);
      }
    });
    for (const auto& sample : block.samples.samples) {
      engine->truncate(0);
      engine->forward(sample);
    }
  }
  EXPECT_EQ(outputs[0].size(), outputs[1].size());
  double sum = 0;
  for (size_t i = 0; i < outputs[0].size(); ++i) sum += std::pow(outputs[1][i] - outputs[0][i], 2);
  return sum / static_cast<double>(outputs[0].size());
}

TEST(Awq, TheLossIsThatOfTheModelWithRoundedWeights) {
  for (const char* name : {"qwen3-untied", "qwen2"}) {
    const models::Model model = models::Model::open(test::data_dir() / "models" / name);
    for (const size_t b : {size_t{1}, size_t{2}}) {  // attention and feed-forward of the first layer
      const BlockOf block(model, b);
      for (const SmoothingPair& pair : block.pairs) {
        std::vector<SourceMatrix> matrices = consumers_of(model, pair);
        const std::vector<float> scales = some_scales(matrices.front().columns());
        for (const bool symmetric : {true, false}) {
          const WeightRounding rounding{.bits = 4, .group_size = 16, .symmetric = symmetric};
          WeightRounding tried = rounding;
          tried.largest_outward = true;
          const double expected = loss_by_the_interpreter(model, block, pair, tried, scales);
          const AwqSplit split = awq_split(block.graph, model.graph.value(pair.value).name);
          const Sequences rows =
              run_sequences(split.before, block.weights, awq_rows(block.hidden, block.samples, true, 0), 1);
          std::vector<double> found;
          for (const int threads : {1, 3}) {
            ThreadPool pool(threads);
            WeightRounding other_observer = rounding;  // which the search does not heed
            other_observer.observer = WeightObserver::mse;
            AwqTrial trial(split.after, block.weights, matrices, other_observer, rows, pool);
            found.push_back(trial.loss(scales, kNoLimit));
            // Nothing is left of one candidate when the next is tried.
            const std::vector<float> ones(scales.size(), 1.0f);
            EXPECT_NE(trial.loss(ones, kNoLimit), found.back());
            EXPECT_EQ(trial.loss(scales, kNoLimit), found.back());
            const double limited = trial.loss(scales, found.back() / 8);
            EXPECT_GT(limited, found.back() / 8);
            EXPECT_LE(limited, found.back());
          }
          EXPECT_EQ(found[0], found[1]);
          EXPECT_GT(expected, 0);
          EXPECT_NEAR(found[0] / expected, 1, 2e-4) << split.after.nodes.back().name;
        }
      }
    }
  }
}

// ---- the choice

TEST(Awq, ChoosesTheFirstOfTheLeastLosses) {
  const std::vector<float> x{4, 1, 0.25f};
  const std::vector<double> w{0.5, 0.5, 0.5};
  const auto as_they_are = [](const std::vector<float>& scales) { return scales; };
  // Least where the first scale, 4^ratio, is near 1.95.
  int calls = 0;
  const AwqChoice found =
      awq_search(x, w, DuoScaling::off, as_they_are, [&](std::span<const float> scales, double limit) {
        EXPECT_EQ(limit == kNoLimit, calls == 0);
        ++calls;
        return std::abs(std::log(scales[0] / 1.95));
      });
  EXPECT_EQ(calls, 20);
  EXPECT_NEAR(found.point.ratio, 9.0 / 19, 1e-9);
  EXPECT_FLOAT_EQ(found.scales[0], std::pow(4.0f, 9.0f / 19));
  EXPECT_NEAR(found.loss_before, std::log(1.95), 1e-6);
  EXPECT_LT(found.loss_after, 0.05);

  const AwqChoice none =
      awq_search(x, w, DuoScaling::on, as_they_are, [](std::span<const float>, double) { return 3.0; });
  EXPECT_TRUE(none.scales.empty());
  EXPECT_EQ(none.loss_before, 3);
  EXPECT_EQ(none.loss_after, 3);
  const AwqChoice broken =
      awq_search(x, w, DuoScaling::on, as_they_are, [](std::span<const float>, double) { return std::nan(""); });
  EXPECT_TRUE(broken.scales.empty());

  // What is tried, and applied, is what can be stored.
  const AwqChoice stored = awq_search(
      x, w, DuoScaling::off,
      [](const std::vector<float>&) {
        return std::vector<float>{2, 1, 1};
      },
      [&](std::span<const float> scales, double) {
        EXPECT_EQ(scales[0], 2);
        return --calls;
      });
  EXPECT_EQ(stored.scales, (std::vector<float>{2, 1, 1}));
  EXPECT_EQ(stored.point.ratio, 1);
}

}  // namespace
}  // namespace duan::quant
