#include "ir/builder.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"

namespace duan::ir {
namespace {

std::string error_of(const std::function<void()>& function) {
  try {
    function();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

// A graph with ids, and activations [batch, tokens, 8] under the name "x".
struct Start {
  Graph graph{.name = "test"};
  Value ids = input(graph, "ids", DType::i64, {B, T});
  Value x = embed(Scope(graph) / "x", ids, 16, 8);
};

TEST(Builder, NamesWeightsByTheScope) {
  Start start;
  const Scope layer = Scope(start.graph) / "model" / "layers" / 3;
  const Value y = linear(layer / "mlp" / "up_proj", start.x, 12, /*bias=*/true);
  EXPECT_EQ(y.info().name, "model.layers.3.mlp.up_proj");
  EXPECT_EQ(to_string(y.info().type.dims), "[batch, tokens, 12]");
  ASSERT_EQ(start.graph.weights.size(), 3u);
  EXPECT_EQ(start.graph.weights[1].name, "model.layers.3.mlp.up_proj.weight");
  EXPECT_EQ(start.graph.weights[1].shape, (Shape{12, 8}));
  EXPECT_EQ(start.graph.weights[2].name, "model.layers.3.mlp.up_proj.bias");
  EXPECT_EQ(start.graph.weights[2].shape, (Shape{12}));
}

TEST(Builder, DeclaresATiedMatrixOnce) {
  Start start;
  const Value logits = linear(Scope(start.graph) / "x", start.x, 16);
  output(logits);
  EXPECT_EQ(start.graph.weights.size(), 1u);
  EXPECT_EQ(logits.info().name, "x.linear");
  EXPECT_NO_THROW(verify(start.graph));
}

TEST(Builder, RefusesOneWeightInTwoShapes) {
  Start start;
  EXPECT_EQ(error_of([&] { linear(Scope(start.graph) / "x", start.x, 5); }),
            "x.weight: is used as [16, 8] and as [5, 8]");
}

TEST(Builder, HeadsMustDivideTheWidth) {
  Start start;
  EXPECT_EQ(to_string(split_heads(start.x, 4).info().type.dims), "[batch, tokens, 4, 2]");
  EXPECT_EQ(error_of([&] { split_heads(start.x, 3); }), "x: width 8 does not divide into 3 heads");
  EXPECT_NE(error_of([&] { split_heads(start.x, 0); }), "");
}

TEST(Builder, AttentionJoinsItsHeads) {
  Start start;
  const Value q = split_heads(linear(Scope(start.graph) / "q", start.x, 16), 4);
  const Value k = split_heads(linear(Scope(start.graph) / "k", start.x, 8), 2);
  const Value v = split_heads(linear(Scope(start.graph) / "v", start.x, 8), 2);
  const Value y = attention(q, k, v, 0);
  EXPECT_EQ(to_string(y.info().type.dims), "[batch, tokens, 16]");
  const auto& op = std::get<Attention>(start.graph.nodes[start.graph.nodes.size() - 2].op);
  EXPECT_DOUBLE_EQ(op.scale, 0.5);
  EXPECT_TRUE(op.causal);
}

}  // namespace
}  // namespace duan::ir
