#include "ir/graph.h"

#include <gtest/gtest.h>

#include "ir/builder.h"

namespace duan::ir {
namespace {

TEST(Graph, CountsReadersAndOutputs) {
  Graph graph{.name = "test"};
  const Value x = embed(Scope(graph) / "x", input(graph, "ids", DType::i64, {B, T}), 16, 8);
  const Value sum = x + linear(Scope(graph) / "y", x, 8);
  output(sum);
  EXPECT_EQ(use_counts(graph), (std::vector<int>{1, 2, 1, 1}));
}

TEST(Graph, KnowsTheWeightsOfANode) {
  EXPECT_EQ(weights_of(Embed{4}), (std::vector<WeightId>{4}));
  EXPECT_EQ(weights_of(Linear{1, 2}), (std::vector<WeightId>{1, 2}));
  EXPECT_EQ(weights_of(Linear{1, std::nullopt}), (std::vector<WeightId>{1}));
  EXPECT_EQ(weights_of(RmsNorm{3, 1e-6}), (std::vector<WeightId>{3}));
  EXPECT_TRUE(weights_of(Add{}).empty());
}

TEST(Graph, WidthIsEverythingPerToken) {
  EXPECT_EQ(width({DType::f32, {B, T, 4, 32}}), 128);
  EXPECT_EQ(width({DType::i64, {B, T}}), 1);
}

TEST(Graph, DimensionsAreNumbersOrNames) {
  EXPECT_EQ(to_string(Dims{B, T, 8}), "[batch, tokens, 8]");
  EXPECT_NE(Dim(B), Dim(T));
  EXPECT_NE(Dim(0), Dim(B));
  EXPECT_EQ(op_name(Op{Reshape{{B, T, 8}}}), "Reshape");
}

}  // namespace
}  // namespace duan::ir
