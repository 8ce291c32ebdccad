#include "quant/carried_error.h"

#include <gtest/gtest.h>

#include <random>

#include "ir/subgraph.h"
#include "quant/module_writer.h"
#include "quant/modules.h"
#include "quant/support.h"

namespace duan::quant {
namespace {

std::vector<float> random_numbers(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> numbers(count);
  for (float& number : numbers) number = std::normal_distribution<float>(0, 1)(random);
  return numbers;
}

// mean[r * columns + c] of a b^T, in double.
std::vector<double> mean_product(const std::vector<float>& a, const std::vector<float>& b, size_t tokens) {
  const size_t rows = a.size() / tokens, columns = b.size() / tokens;
  std::vector<double> mean(rows * columns);
  for (size_t t = 0; t < tokens; ++t) {
    for (size_t i = 0; i < mean.size(); ++i) {
      mean[i] += static_cast<double>(a[t * rows + i / columns]) * b[t * columns + i % columns];
    }
  }
  for (double& value : mean) value /= static_cast<double>(tokens);
  return mean;
}

void expect_near(const std::vector<float>& found, const std::vector<double>& expected, double tolerance) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], tolerance) << i;
}

TEST(CarriedError, MeanProductIsTheMeanHoweverTokensAreCut) {
  constexpr size_t kTokens = 1100, kRows = 131, kColumns = 37;
  const std::vector<float> a = random_numbers(kTokens * kRows, 1), b = random_numbers(kTokens * kColumns, 2);
  ThreadPool one(1), three(3);
  MeanProduct whole(kRows, kColumns), pieces(kRows, kColumns);
  whole.add(kTokens, a.data(), b.data(), one);
  for (size_t first = 0; first < kTokens; first += 200) {
    const size_t count = std::min<size_t>(200, kTokens - first);
    pieces.add(static_cast<int64_t>(count), a.data() + first * kRows, b.data() + first * kColumns, three);
  }
  const std::vector<float> found = whole.take(one);
  EXPECT_EQ(found, pieces.take(three));
  expect_near(found, mean_product(a, b, kTokens), 1e-5);
}

TEST(CarriedError, MeanProductOfInt8IsNearlyThatOfTheTokens) {
  constexpr size_t kTokens = 4200, kRows = 131, kColumns = 37;
  const std::vector<float> a = random_numbers(kTokens * kRows, 1), b = random_numbers(kTokens * kColumns, 2);
  ThreadPool one(1), three(3);
  MeanProduct product(kRows, kColumns, DType::i8), again(kRows, kColumns, DType::i8);
  product.add(kTokens, a.data(), b.data(), one);
  again.add(kTokens, a.data(), b.data(), three);
  const std::vector<float> found = product.take(one);
  EXPECT_EQ(found, again.take(three));
  expect_near(found, mean_product(a, b, kTokens), 2e-3);  // steps of 0.03, and their errors have no sign in common
}

// The blocks of the first layer, and hidden states as the source and something else may hand them on.
struct FirstLayer {
  FirstLayer()
      : model(models::Model::open(test::data_dir() / "models/qwen3-untied")),
        samples(test::some_samples(model.config.vocab_size, 3, 20)),
        all(part_of(samples, 0)),
        blocks(find_blocks(model.graph)) {
    const auto count = static_cast<size_t>(samples.tokens() * model.config.hidden_size);
    source = {model.config.hidden_size, random_numbers(count, 3)};
    rounded = source;
    const std::vector<float> noise = random_numbers(count, 4);
    for (size_t i = 0; i < count; ++i) rounded.values[i] += 0.1f * noise[i];
  }

  // Rows that `value` has, and the output of the block, when it is handed `hidden`.
  std::vector<float> rows_of(const ir::Graph& graph, const std::string& value, const HiddenStates& hidden,
                             HiddenStates& out) const {
    return run_block({graph, engine::weights_of(model.checkpoint), samples, 1}, hidden, &out, {{value, {}}})
        .at(value)
        .rows;  // all of them: there are fewer than kKeptRows
  }

  models::Model model;
  CalibrationSet samples;
  CalibrationPart all;
  std::vector<Block> blocks;
  HiddenStates source, rounded;
};

TEST(CarriedError, IsWhatInputsAndOutputsLack) {
  const FirstLayer layer;
  const auto tokens = static_cast<size_t>(layer.samples.tokens());
  const engine::WeightSource weights = engine::weights_of(layer.model.checkpoint);
  ThreadPool pool(2);
  int inputs = 0, outputs = 0;
  for (const size_t b : {size_t{1}, size_t{2}}) {
    const ir::Graph graph = ir::subgraph(layer.model.graph, layer.blocks[b].first, layer.blocks[b].last);
    std::set<std::string> values;
    for (const ir::Node& node : graph.nodes) {
      if (std::holds_alternative<ir::Linear>(node.op)) values.insert(graph.value(node.inputs[0]).name);
    }
    EXPECT_EQ(values.size(), 2u);
    for (const std::string& value : values) {
      HiddenStates out, rounded_out;
      std::vector<float> expected = layer.rows_of(graph, value, layer.source, out);
      const std::vector<float> x = layer.rows_of(graph, value, layer.rounded, rounded_out);
      const CarriedRun run{graph, weights, layer.all, 2};
      EXPECT_NE(follows_linear(graph, value), !ends_with_reader(graph, value));
      if (ends_with_reader(graph, value)) {
        for (size_t i = 0; i < out.values.size(); ++i) out.values[i] -= rounded_out.values[i];
        HiddenStates source_out;
        layer.rows_of(graph, value, layer.source, source_out);
        const CarriedError found = carried_to_output(run, value, source_out, layer.rounded, pool);
        expect_near(found.mean, mean_product(out.values, x, tokens), 1e-4);
        const size_t width = out.values.size() / tokens;
        const std::vector<double> all = mean_product(out.values, out.values, tokens);
        ASSERT_EQ(found.squares.size(), width);
        for (size_t i = 0; i < width; ++i) EXPECT_NEAR(found.squares[i], all[i * width + i], 1e-4);
        ++outputs;
      } else {
        for (size_t i = 0; i < x.size(); ++i) expected[i] -= x[i];
        expect_near(carried_by_input(run, value, layer.source, layer.rounded, pool).mean,
                    mean_product(x, expected, tokens), 1e-4);
        ++inputs;
      }
    }
  }
  EXPECT_EQ(inputs, 2);
  EXPECT_EQ(outputs, 2);
}

TEST(CarriedError, OfSomeSamplesIsThatOfASetOfThem) {
  const FirstLayer layer;
  const engine::WeightSource weights = engine::weights_of(layer.model.checkpoint);
  const auto width = static_cast<size_t>(layer.model.config.hidden_size);
  // The first and the third of three samples.
  CalibrationPart part = part_of(layer.samples, layer.samples.tokens() / 2);
  ASSERT_EQ(part.firsts.size(), 2u);
  ASSERT_EQ(part.set.samples[1], layer.samples.samples[2]);
  const CalibrationPart alone{part.set, {0, static_cast<int64_t>(part.set.samples[0].size())}};
  const auto of_part = [&](const HiddenStates& all) {
    HiddenStates some{all.width, {}};
    for (size_t s = 0; s < 2; ++s) {
      const auto from = all.values.begin() + part.firsts[s] * all.width;
      some.values.insert(some.values.end(), from, from + static_cast<int64_t>(part.set.samples[s].size() * width));
    }
    return some;
  };
  ThreadPool pool(2);
  for (const size_t b : {size_t{1}, size_t{2}}) {
    const ir::Graph graph = ir::subgraph(layer.model.graph, layer.blocks[b].first, layer.blocks[b].last);
    HiddenStates source_out;
    run_block({graph, weights, layer.samples, 1}, layer.source, &source_out, {});
    for (const ir::Node& node : graph.nodes) {
      if (!std::holds_alternative<ir::Linear>(node.op)) continue;
      const std::string& value = graph.value(node.inputs[0]).name;
      const CarriedRun run{graph, weights, part, 2}, expected{graph, weights, alone, 2};
      if (ends_with_reader(graph, value)) {
        const CarriedError found = carried_to_output(run, value, source_out, of_part(layer.rounded), pool);
        EXPECT_EQ(found.mean,
                  carried_to_output(expected, value, of_part(source_out), of_part(layer.rounded), pool).mean);
        EXPECT_EQ(found.tokens, part.set.tokens());
      } else {
        EXPECT_EQ(carried_by_input(run, value, layer.source, of_part(layer.rounded), pool).mean,
                  carried_by_input(expected, value, of_part(layer.source), of_part(layer.rounded), pool).mean);
      }
    }
  }
}

TEST(CarriedError, AddsWhatBecameOfTheLastLayer) {
  const FirstLayer layer;
  const auto tokens = static_cast<size_t>(layer.samples.tokens());
  const engine::WeightSource weights = engine::weights_of(layer.model.checkpoint);
  const ir::Graph graph = ir::subgraph(layer.model.graph, layer.blocks[2].first, layer.blocks[2].last);
  std::string value;  // read by the last layer
  for (const ir::Node& node : graph.nodes) {
    if (std::holds_alternative<ir::Linear>(node.op)) value = graph.value(node.inputs[0]).name;
  }
  CarriedRun run{graph, weights, layer.all, 2};
  run.compute = engine::Compute::bf16;
  BlockRun whole{graph, weights, layer.samples, 1};
  whole.compute = engine::Compute::bf16;
  ThreadPool one(1), three(3);
  HiddenStates source_out, expected, found = layer.rounded, again;
  run_block(whole, layer.source, &source_out, {});
  run_block(whole, layer.rounded, &expected, {});
  ReadByLast read;
  const CarriedError kept = carried_to_output(run, value, source_out, found, one, read);
  EXPECT_EQ(kept.mean, carried_to_output(run, value, source_out, layer.rounded, three).mean);
  EXPECT_EQ(found.values, expected.values);
  again = found;

  const auto width = static_cast<size_t>(read.width), outputs = static_cast<size_t>(found.width);
  ASSERT_EQ(read.values.size(), tokens * width);
  const std::vector<float> numbers = random_numbers(outputs * width, 5);
  const std::vector<std::byte> change = as_stored(numbers, DType::bf16);
  add_change(read, change, found, one);
  add_change(read, change, again, three);
  EXPECT_EQ(found.values, again.values);
  for (size_t i = 0; i < found.values.size(); ++i) {
    double sum = expected.values[i];
    for (size_t c = 0; c < width; ++c) {
      sum += static_cast<double>(bf16_to_float(read.values[i / outputs * width + c])) *
             bf16_to_float(float_to_bf16(numbers[i % outputs * width + c]));
    }
    ASSERT_NEAR(found.values[i], sum, 1e-4) << i;
  }
}

}  // namespace
}  // namespace duan::quant
