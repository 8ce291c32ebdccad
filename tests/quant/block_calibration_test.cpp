#include "quant/block_calibration.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "engine/engine.h"
#include "ir/subgraph.h"
#include "quant/modules.h"
#include "quant/picture_rows.h"
#include "quant/pictures.h"
#include "quant/support.h"
#include "support/models.h"

namespace duan::quant {
namespace {

struct Seen {
  std::vector<float> channel_max;
  std::vector<double> channel_sum, square_sum;
  uint64_t count = 0;
};

TEST(BlockCalibration, SeesWhatTheWholeModelSees) {
  for (const auto& folder : test::tiny_models()) {
    const models::Model model = models::Model::open(folder);
    const CalibrationSet samples = test::some_samples(model.config.vocab_size);
    // Block by block.
    std::map<std::string, InputStatistics> found;
    HiddenStates hidden;
    const engine::WeightSource weights = engine::weights_of(model.checkpoint);
    const std::vector<Block> blocks = find_blocks(model.graph);
    for (const Block& block : blocks) {
      const ir::Graph graph = ir::subgraph(model.graph, block.first, block.last);
      Observed observed;
      for (const ir::Node& node : graph.nodes) {
        if (std::holds_alternative<ir::Linear>(node.op)) observed[graph.value(node.inputs[0]).name];
      }
      HiddenStates out;
      for (auto& [name, statistics] : run_block({graph, weights, samples, 2}, hidden, &out, observed)) {
        found.emplace(name, std::move(statistics));
      }
      hidden = std::move(out);
    }
    // All at once, by the interpreter.
    std::map<std::string, Seen> expected;
    engine::Options options;
    options.context = 64;
    const auto engine = engine::make_reference(model.graph, model.checkpoint, options);
    engine->set_probe([&](ir::ValueId value, int64_t, int64_t rows, int64_t width, const float* data) {
      Seen& seen = expected[model.graph.value(value).name];
      seen.channel_max.resize(static_cast<size_t>(width), 0.0f);
      seen.channel_sum.resize(static_cast<size_t>(width), 0.0);
      seen.square_sum.resize(static_cast<size_t>(width), 0.0);
      for (int64_t i = 0; i < rows * width; ++i) {
        float& most = seen.channel_max[static_cast<size_t>(i % width)];
        most = std::max(most, std::abs(data[i]));
        seen.channel_sum[static_cast<size_t>(i % width)] += std::abs(data[i]);
        seen.square_sum[static_cast<size_t>(i % width)] += static_cast<double>(data[i]) * data[i];
      }
      seen.count += static_cast<uint64_t>(rows * width);
    });
    for (const auto& sample : samples.samples) {
      engine->truncate(0);
      engine->forward(sample);
    }
    EXPECT_GE(found.size(), 4 * static_cast<size_t>(model.config.num_hidden_layers) + 1);
    for (const auto& [name, statistics] : found) {
      const Seen& seen = expected.at(name);
      EXPECT_EQ(statistics.histogram.count(), seen.count) << name;
      float highest = 0;
      for (size_t c = 0; c < seen.channel_max.size(); ++c) {
        EXPECT_NEAR(statistics.channel_max[c], seen.channel_max[c], 1e-3f + 1e-3f * seen.channel_max[c]) << name;
        const double mean = seen.channel_sum[c] / static_cast<double>(samples.tokens());
        EXPECT_NEAR(statistics.channel_mean[c], mean, 1e-4 + 1e-4 * mean) << name;
        const double square = seen.square_sum[c] / static_cast<double>(samples.tokens());
        EXPECT_NEAR(statistics.mean_square[c], square, 1e-4 + 1e-3 * square) << name;
        highest = std::max(highest, statistics.channel_max[c]);
      }
      EXPECT_EQ(statistics.histogram.highest(), highest) << name;
      EXPECT_EQ(statistics.rows.size(), static_cast<size_t>(samples.tokens()) * seen.channel_max.size());
    }
  }
}

TEST(BlockCalibration, SeesPicturesAsTheWholeModelDoes) {
  const models::Model model = models::Model::open(test::data_dir() / "vl/qwen3-vl");
  const CalibrationSet set = test::samples_with_pictures(model.config.image_tokens->image);
  test::MadeUpPictures reader;
  reader.width = model.config.hidden_size;
  reader.levels = model.config.vision->deepstack_visual_indexes.size();
  ASSERT_GT(reader.levels, 0u);
  const std::vector<Block> blocks = find_blocks(model.graph);
  const engine::WeightSource weights = engine::weights_of(model.checkpoint);
  PictureRows rows(model.graph, blocks, &set, &reader);

  // All values on the residual stream, by the interpreter, of both samples.
  rows.prepare(0, {});
  std::map<std::string, std::vector<float>> expected;
  engine::Options options;
  options.context = 64;
  const auto engine = engine::make_reference(model.graph, model.checkpoint, options);
  engine->set_probe([&](ir::ValueId value, int64_t, int64_t count, int64_t width, const float* data) {
    auto& seen = expected[model.graph.value(value).name];
    seen.insert(seen.end(), data, data + count * width);
  });
  for (size_t s = 0; s < set.samples.size(); ++s) {
    engine->truncate(0);
    engine->set_images(set.images.at(s));
    engine->forward(set.samples[s]);
  }

  HiddenStates hidden;
  for (size_t b = 0; b + 1 < blocks.size(); ++b) {
    const ir::Graph graph = ir::subgraph(model.graph, blocks[b].first, blocks[b].last);
    rows.prepare(b, {});
    HiddenStates out;
    run_block({graph, weights, set, 2}, hidden, &out, {});
    rows.release(b);
    const std::vector<float>& whole = expected.at(graph.value(graph.outputs[0]).name);
    ASSERT_EQ(out.values.size(), whole.size());
    for (size_t i = 0; i < whole.size(); ++i) {
      ASSERT_NEAR(out.values[i], whole[i], 1e-4 + 1e-4 * std::abs(whole[i])) << blocks[b].name << " " << i;
    }
    hidden = std::move(out);
  }
}

TEST(BlockCalibration, DividesChannelsAndDoesNotDependOnThreads) {
  const models::Model model = models::Model::open(test::tiny_models().front());
  const CalibrationSet samples = test::some_samples(model.config.vocab_size, 40, 30);
  ASSERT_GT(samples.tokens(), kKeptRows);
  const std::vector<Block> blocks = find_blocks(model.graph);
  const engine::WeightSource weights = engine::weights_of(model.checkpoint);
  HiddenStates hidden;
  run_block({ir::subgraph(model.graph, blocks[0].first, blocks[0].last), weights, samples, 1}, {}, &hidden, {});
  const ir::Graph graph = ir::subgraph(model.graph, blocks[1].first, blocks[1].last);
  std::string name;
  for (const ir::Node& node : graph.nodes) {
    if (name.empty() && std::holds_alternative<ir::Linear>(node.op)) name = graph.value(node.inputs[0]).name;
  }
  const auto plain = run_block({graph, weights, samples, 1}, hidden, nullptr, {{name, {}}}).at(name);
  std::vector<float> divisors(plain.channel_max.size());
  for (size_t c = 0; c < divisors.size(); ++c) divisors[c] = c % 2 == 0 ? 4.0f : 0.5f;
  HiddenStates one_out, three_out;
  const auto one = run_block({graph, weights, samples, 1}, hidden, &one_out, {{name, divisors}}).at(name);
  const auto three = run_block({graph, weights, samples, 3}, hidden, &three_out, {{name, divisors}}).at(name);
  for (size_t c = 0; c < divisors.size(); ++c) {
    EXPECT_EQ(one.channel_max[c], plain.channel_max[c] / divisors[c]);
    EXPECT_EQ(one.channel_mean[c], plain.channel_mean[c] / divisors[c]);  // powers of two
    EXPECT_EQ(one.mean_square[c], plain.mean_square[c] / (divisors[c] * divisors[c]));
  }
  EXPECT_LE(one.rows.size(), static_cast<size_t>(kKeptRows) * divisors.size());
  EXPECT_EQ(one.rows, three.rows);
  EXPECT_EQ(one.channel_max, three.channel_max);
  EXPECT_EQ(one.channel_mean, three.channel_mean);
  EXPECT_EQ(one.mean_square, three.mean_square);
  EXPECT_EQ(one_out.values, three_out.values);
  EXPECT_TRUE(
      std::equal(one.histogram.counts().begin(), one.histogram.counts().end(), three.histogram.counts().begin()));
}

TEST(BlockCalibration, MakesTheGramMatricesThatAreWanted) {
  const models::Model model = models::Model::open(test::tiny_models().front());
  const CalibrationSet samples = test::some_samples(model.config.vocab_size, 5, 20);
  const std::vector<Block> blocks = find_blocks(model.graph);
  const engine::WeightSource weights = engine::weights_of(model.checkpoint);
  HiddenStates hidden;
  run_block({ir::subgraph(model.graph, blocks[0].first, blocks[0].last), weights, samples, 1}, {}, &hidden, {});
  const ir::Graph graph = ir::subgraph(model.graph, blocks[1].first, blocks[1].last);
  BlockRun run{graph, weights, samples, 2};
  Observed observed;
  for (const ir::Node& node : graph.nodes) {
    if (!std::holds_alternative<ir::Linear>(node.op)) continue;
    observed[graph.value(node.inputs[0]).name];
    run.grams = {graph.value(node.inputs[0]).name};  // of the last one
  }
  ASSERT_GT(observed.size(), 1u);
  for (const auto& [name, statistics] : run_block(run, hidden, nullptr, observed)) {
    ASSERT_EQ(statistics.gram.has_value(), run.grams.contains(name));
    if (!statistics.gram) continue;
    EXPECT_EQ(statistics.gram->count(), static_cast<double>(samples.tokens()));
    for (int64_t c = 0; c < statistics.gram->width(); ++c) {
      const double square = statistics.mean_square[static_cast<size_t>(c)];
      EXPECT_NEAR(statistics.gram->at(c, c) / statistics.gram->count(), square, 1e-5 * square) << c;
    }
  }
}

TEST(BlockCalibration, TokensOfPicturesWeighWhatTheyAreGiven) {
  const models::Model model = models::Model::open(test::data_dir() / "vl/qwen3-vl");
  const int64_t pad = model.config.image_tokens->image;
  const CalibrationSet set = test::samples_with_pictures(pad);
  test::MadeUpPictures reader;
  reader.width = model.config.hidden_size;
  reader.levels = model.config.vision->deepstack_visual_indexes.size();
  const std::vector<Block> blocks = find_blocks(model.graph);
  PictureRows rows(model.graph, blocks, &set, &reader);
  rows.prepare(0, {});
  // What the first layer's projections read, by the interpreter.
  const ir::Graph graph = ir::subgraph(model.graph, blocks[1].first, blocks[1].last);
  std::string name;
  for (const ir::Node& node : graph.nodes) {
    if (name.empty() && std::holds_alternative<ir::Linear>(node.op)) name = graph.value(node.inputs[0]).name;
  }
  std::vector<float> read;
  engine::Options options;
  options.context = 64;
  const auto engine = engine::make_reference(model.graph, model.checkpoint, options);
  engine->set_probe([&](ir::ValueId value, int64_t, int64_t count, int64_t width, const float* data) {
    if (model.graph.value(value).name == name) read.insert(read.end(), data, data + count * width);
  });
  std::vector<double> weight_of;
  for (size_t s = 0; s < set.samples.size(); ++s) {
    engine->truncate(0);
    engine->set_images(set.images.at(s));
    engine->forward(set.samples[s]);
    for (const int64_t id : set.samples[s]) weight_of.push_back(id == pad ? 0.25 : 1);
  }
  ASSERT_LT(*std::min_element(weight_of.begin(), weight_of.end()), 1);
  ASSERT_EQ(*std::max_element(weight_of.begin(), weight_of.end()), 1);

  const engine::WeightSource weights = engine::weights_of(model.checkpoint);
  HiddenStates hidden;
  run_block({ir::subgraph(model.graph, blocks[0].first, blocks[0].last), weights, set, 1}, {}, &hidden, {});
  const auto seen = run_block({graph, weights, set, 2, {}, {name}, 0.25}, hidden, nullptr, {{name, {}}}).at(name);
  const auto plain = run_block({graph, weights, set, 2, {}, {name}}, hidden, nullptr, {{name, {}}}).at(name);
  const size_t width = seen.channel_mean.size();
  double total = 0;
  for (const double weight : weight_of) total += weight;
  EXPECT_DOUBLE_EQ(seen.gram->count(), total);
  EXPECT_DOUBLE_EQ(plain.gram->count(), static_cast<double>(weight_of.size()));
  double difference = 0;
  for (size_t i = 0; i < width; ++i) {
    double mean = 0;
    for (size_t t = 0; t < weight_of.size(); ++t) mean += weight_of[t] * std::abs(read[t * width + i]) / total;
    EXPECT_NEAR(seen.channel_mean[i], mean, 1e-5 * mean);
    for (size_t j = 0; j <= i; ++j) {
      double sum = 0, size = 0;
      for (size_t t = 0; t < weight_of.size(); ++t) {
        const double product = weight_of[t] * static_cast<double>(read[t * width + i]) * read[t * width + j];
        sum += product;
        size += std::abs(product);
      }
      const auto a = static_cast<int64_t>(i), b = static_cast<int64_t>(j);
      EXPECT_NEAR(seen.gram->at(a, b), sum, 1e-5 * size + 1e-9) << i << " " << j;
      difference = std::max(difference, std::abs(static_cast<double>(plain.gram->at(a, b)) - sum) / (size + 1e-9));
    }
  }
  EXPECT_GT(difference, 0.01);  // the weights were felt
  EXPECT_EQ(seen.channel_max, plain.channel_max);
}

TEST(BlockCalibration, NamesTheLayersWhoseInputIsNotFinite) {
  const models::Model model = models::Model::open(test::tiny_models().front());
  const CalibrationSet samples = test::some_samples(model.config.vocab_size, 3, 5);
  const std::vector<Block> blocks = find_blocks(model.graph);
  const ir::Graph graph = ir::subgraph(model.graph, blocks[1].first, blocks[1].last);
  HiddenStates hidden{model.config.hidden_size, {}};
  hidden.values.assign(static_cast<size_t>(samples.tokens() * hidden.width), 1.0f);
  hidden.values[static_cast<size_t>(7 * hidden.width + 3)] = std::numeric_limits<float>::infinity();  // of sample 2
  Observed observed;
  for (const ir::Node& node : graph.nodes) {
    if (std::holds_alternative<ir::Linear>(node.op)) observed[graph.value(node.inputs[0]).name];
  }
  try {
    run_block({graph, engine::weights_of(model.checkpoint), samples, 1}, hidden, nullptr, observed);
    ADD_FAILURE() << "not refused";
  } catch (const Error& e) {
    EXPECT_NE(e.where().find("layers.0.self_attn.q_proj"), std::string::npos) << e.what();
    EXPECT_NE(e.message().find("sample 2"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace duan::quant
