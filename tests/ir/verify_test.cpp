#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"
#include "ir/builder.h"

namespace duan::ir {
namespace {

Graph small_graph() {
  Graph graph{.name = "test"};
  const Value ids = input(graph, "ids", DType::i64, {B, T});
  const Value x = embed(Scope(graph) / "embed", ids, 16, 8);
  const Value q = split_heads(linear(Scope(graph) / "q", x, 8), 4);
  const Value k = split_heads(linear(Scope(graph) / "k", x, 8), 4);
  output(linear(Scope(graph) / "head", attention(q, k, k, 0), 16));
  return graph;
}

std::string problem_after(const std::function<void(Graph&)>& change) {
  Graph graph = small_graph();
  change(graph);
  try {
    verify(graph);
  } catch (const InternalError& e) {
    return e.what();
  }
  return "";
}

void expect_problem(const std::function<void(Graph&)>& change, const std::string& text) {
  EXPECT_NE(problem_after(change).find(text), std::string::npos) << problem_after(change);
}

TEST(Verify, AcceptsWhatTheBuilderMakes) {
  EXPECT_EQ(problem_after([](Graph&) {}), "");
}

TEST(Verify, FindsEveryBrokenRule) {
  expect_problem([](Graph& g) { g.values[2].name = g.values[1].name; }, "is not unique");
  expect_problem([](Graph& g) { g.weights[1].name = g.weights[0].name; }, "declared twice");
  expect_problem([](Graph& g) { g.weights[0].shape = {0, 8}; }, "has shape");
  expect_problem([](Graph& g) { std::swap(g.nodes[0], g.nodes[1]); }, "before it is made");
  expect_problem([](Graph& g) { std::get<Linear>(g.nodes[1].op).weight = 99; }, "reads weight 99");
  expect_problem([](Graph& g) { g.values[1].producer = 3; }, "does not know its producer");
  expect_problem([](Graph& g) { g.values[1].type.dims[2] = 9; }, "has a wrong type");
  expect_problem([](Graph& g) { g.outputs.clear(); }, "has no output");
  expect_problem([](Graph& g) { g.inputs.push_back(1); }, "has a producer");
}

TEST(Verify, RefusesTwoLayersThatShareACache) {
  Graph graph{.name = "test"};
  const Value x = embed(Scope(graph) / "embed", input(graph, "ids", DType::i64, {B, T}), 16, 8);
  const Value q = split_heads(x, 4);
  const Value again = split_heads(linear(Scope(graph) / "again", attention(q, q, q, 0), 8), 4);
  output(attention(again, again, again, 0));
  EXPECT_THROW(verify(graph), InternalError);
}

}  // namespace
}  // namespace duan::ir
