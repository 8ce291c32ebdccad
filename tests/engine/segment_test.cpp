#include "engine/segment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "ir/subgraph.h"
#include "models/model.h"
#include "support/models.h"

namespace duan::engine {
namespace {

constexpr int64_t kTokens = 37;

std::vector<int64_t> some_ids(int64_t vocab) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < kTokens; ++i) ids.push_back(i * 13 % vocab);
  return ids;
}

// The logits [tokens, vocab] of a model run block by block.
std::vector<float> run_in_segments(const models::Model& model, const WeightSource& weights, const Options& options) {
  const std::vector<int64_t> ids = some_ids(model.config.vocab_size);
  const std::vector<ir::NodeId> cuts = ir::cut_points(model.graph);
  std::vector<float> hidden;
  for (size_t i = 0; i + 1 < cuts.size(); ++i) {
    const ir::Graph graph = ir::subgraph(model.graph, cuts[i], cuts[i + 1]);
    Segment segment(graph, weights, options);
    std::vector<float> out(static_cast<size_t>(kTokens * segment.width()));
    if (i == 0) {
      segment.run(ids, out);
    } else {
      segment.run(std::span<const float>(hidden), out);
    }
    hidden = std::move(out);
  }
  return hidden;
}

TEST(Segment, OneAfterAnotherAreTheModel) {
  for (const auto& folder : test::tiny_models()) {
    const models::Model model = models::Model::open(folder);
    Options options;
    options.context = kTokens;
    options.threads = 2;
    options.compute = Compute::fp32;
    const auto engine = make_native(model.graph, model.checkpoint, options);
    const std::vector<float> logits = run_in_segments(model, weights_of(model.checkpoint), options);
    double worst = 0;
    engine->forward_all(some_ids(model.config.vocab_size), [&](int64_t index, std::span<const float> row) {
      for (size_t i = 0; i < row.size(); ++i) {
        worst = std::max(worst,
                         std::abs(static_cast<double>(row[i]) - logits[static_cast<size_t>(index) * row.size() + i]));
      }
    });
    EXPECT_LE(worst, 1e-4) << folder;  // sums on the residual stream in another order
  }
}

TEST(Segment, RunsOneSequenceAfterAnotherFromTheStart) {
  const models::Model model = models::Model::open(test::tiny_models().front());
  const std::vector<ir::NodeId> cuts = ir::cut_points(model.graph);
  const ir::Graph graph = ir::subgraph(model.graph, cuts[1], cuts[2]);
  Options options;
  options.context = kTokens;
  options.compute = Compute::fp32;
  Segment segment(graph, weights_of(model.checkpoint), options);
  std::vector<float> hidden(static_cast<size_t>(kTokens * segment.width()));
  for (size_t i = 0; i < hidden.size(); ++i) hidden[i] = std::sin(static_cast<float>(i));
  std::vector<float> first(hidden.size()), again(hidden.size()), part(hidden.size() / kTokens * 5);
  segment.run(std::span<const float>(hidden), first);
  segment.run(std::span<const float>(hidden).first(part.size()), part);
  segment.run(std::span<const float>(hidden), again);
  EXPECT_EQ(first, again);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), first.begin()));
  EXPECT_THROW(segment.run(std::vector<int64_t>{1}, first), InternalError);
}

TEST(Segment, TakesReplacedWeights) {
  const models::Model model = models::Model::open(test::tiny_models().front());
  Options options;
  options.context = kTokens;
  const auto replaced = [&](const std::string& name, const Shape& shape) {
    static const std::vector<std::byte> zeros(1 << 22);
    Weight weight = model.checkpoint.weight(name, shape);
    if (name.ends_with("down_proj.weight") || name.ends_with("o_proj.weight")) {
      weight.format = Dense{DType::f32, zeros.data()};
    }
    return weight;
  };
  const std::vector<ir::NodeId> cuts = ir::cut_points(model.graph);
  const ir::Graph graph = ir::subgraph(model.graph, cuts[1], cuts[2]);
  Segment segment(graph, replaced, options);
  std::vector<float> hidden(static_cast<size_t>(kTokens * segment.width()), 0.5f), out(hidden.size());
  segment.run(std::span<const float>(hidden), out);
  EXPECT_EQ(out, hidden);  // nothing is added to the residual stream
}

TEST(Segment, ShowsItsValues) {
  const models::Model model = models::Model::open(test::tiny_models().front());
  const std::vector<ir::NodeId> cuts = ir::cut_points(model.graph);
  const ir::Graph graph = ir::subgraph(model.graph, cuts[1], cuts[2]);
  Options options;
  options.context = kTokens;
  options.disabled_fusions = {"all"};
  Segment segment(graph, weights_of(model.checkpoint), options);
  std::vector<bool> seen(graph.values.size(), false);
  segment.set_probe([&](ir::ValueId value, int64_t first_row, int64_t rows, int64_t width, const float* data) {
    EXPECT_EQ(first_row, 0);
    EXPECT_EQ(rows, kTokens);
    EXPECT_EQ(width, ir::width(graph.value(value).type));
    EXPECT_TRUE(std::isfinite(data[0]));
    seen[static_cast<size_t>(value)] = true;
  });
  std::vector<float> hidden(static_cast<size_t>(kTokens * segment.width()), 0.5f), out(hidden.size());
  segment.run(std::span<const float>(hidden), out);
  for (const ir::Node& node : graph.nodes) {
    if (std::holds_alternative<ir::Linear>(node.op)) {
      EXPECT_TRUE(seen[static_cast<size_t>(node.inputs[0])]) << node.name;
    }
  }
}

}  // namespace
}  // namespace duan::engine
