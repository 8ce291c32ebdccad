#include "ir/subgraph.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "models/model.h"
#include "support/models.h"

namespace duan::ir {
namespace {

TEST(Subgraph, CutsAfterTheEmbeddingAndEachResidualSum) {
  for (const auto& folder : test::tiny_models()) {
    const models::Model model = models::Model::open(folder);
    const std::vector<NodeId> cuts = cut_points(model.graph);
    // 0, the embedding, two sums a layer, the end.
    EXPECT_EQ(cuts.size(), 1 + 1 + 2 * static_cast<size_t>(model.config.num_hidden_layers) + 1) << folder;
    EXPECT_EQ(cuts.front(), 0);
    EXPECT_EQ(cuts.back(), static_cast<NodeId>(model.graph.nodes.size()));
  }
}

TEST(Subgraph, PartsHoldEveryNodeOnceAndHandOnOneValue) {
  for (const auto& folder : test::tiny_models()) {
    const Graph graph = models::Model::open(folder).graph;
    const std::vector<NodeId> cuts = cut_points(graph);
    std::multiset<std::string> nodes;
    std::string handed;
    for (size_t i = 0; i + 1 < cuts.size(); ++i) {
      const Graph part = subgraph(graph, cuts[i], cuts[i + 1]);
      verify(part);
      ASSERT_EQ(part.outputs.size(), 1u);
      for (const ValueId input : part.inputs) {
        const ValueInfo& info = part.value(input);
        if (info.type.dtype != DType::f32) continue;
        EXPECT_EQ(info.name, handed);
      }
      handed = part.value(part.outputs[0]).name;
      for (const Node& node : part.nodes) {
        if (!std::holds_alternative<Angles>(node.op)) nodes.insert(node.name);
      }
    }
    for (const Node& node : graph.nodes) {
      if (std::holds_alternative<Angles>(node.op)) continue;
      EXPECT_EQ(nodes.count(node.name), 1u) << node.name;
    }
    EXPECT_EQ(handed, graph.value(graph.outputs[0]).name);
  }
}

TEST(Subgraph, EndsBeforeTheHeadOnRequest) {
  const Graph graph = models::Model::open(test::tiny_models().front()).graph;
  const auto end = static_cast<NodeId>(graph.nodes.size());
  const std::vector<NodeId> cuts = cut_points(graph);
  const Graph part = subgraph(graph, cuts[cuts.size() - 2], end - 1);
  EXPECT_EQ(part.nodes.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<RmsNorm>(part.nodes[0].op));
  EXPECT_THROW(subgraph(graph, 0, cuts[2] - 1), InternalError);  // the residual and what is added to it
}

TEST(Subgraph, UpToAValueHoldsWhatItTakesAndNoMore) {
  const models::Model model = models::Model::open(test::tiny_models().front());
  const std::vector<NodeId> cuts = cut_points(model.graph);
  const Graph block = subgraph(model.graph, cuts[1], cuts[2]);
  for (ValueId value = 0; value < static_cast<ValueId>(block.values.size()); ++value) {
    if (block.value(value).producer < 0) continue;
    const Graph part = up_to(block, value);
    verify(part);
    EXPECT_EQ(part.value(part.outputs.at(0)).name, block.value(value).name);
    EXPECT_EQ(part.value(part.outputs.at(0)).producer, static_cast<NodeId>(part.nodes.size()) - 1);
    const std::vector<int> uses = use_counts(part);
    EXPECT_EQ(std::count(uses.begin(), uses.end(), 0), 0) << block.value(value).name;
  }
  EXPECT_EQ(print(up_to(block, block.outputs[0])), print(block));
}

}  // namespace
}  // namespace duan::ir
