#include <gtest/gtest.h>

#include "base/error.h"
#include "ir/builder.h"

namespace duan::ir {
namespace {

// ids, x [batch, tokens, 8], heads q [.., 4, 2] and k [.., 2, 2], angles [batch, tokens, 2]; weights by hand.
struct Fixture {
  Graph graph{.name = "test"};
  ValueId ids = input(graph, "ids", DType::i64, {B, T}).id;
  ValueId x = input(graph, "x", DType::f32, {B, T, 8}).id;
  ValueId wide = input(graph, "wide", DType::f32, {B, T, 16}).id;
  ValueId q = input(graph, "q", DType::f32, {B, T, 4, 2}).id;
  ValueId k = input(graph, "k", DType::f32, {B, T, 2, 2}).id;
  ValueId three = input(graph, "three", DType::f32, {B, T, 3, 2}).id;
  ValueId angles = input(graph, "angles", DType::f32, {B, T, 2}).id;
  ValueId places = input(graph, "places", DType::i64, {B, T, 3}).id;
  ValueId shares = input(graph, "shares", DType::f32, {B, T, 3}).id;
  ValueId patches = input(graph, "patches", DType::f32, {B, P, 8}).id;

  WeightId weight(Shape shape) {
    graph.weights.push_back({"w", std::move(shape)});
    return static_cast<WeightId>(graph.weights.size()) - 1;
  }
  // The inferred dims, or what() of the Error.
  std::string operator()(const Op& op, const std::vector<ValueId>& inputs) const {
    try {
      return to_string(infer(graph, "node", op, inputs).dims);
    } catch (const Error& e) {
      return e.what();
    }
  }
};

TEST(Infer, GivesTheTypesOfFittingOperands) {
  Fixture f;
  EXPECT_EQ(f(Embed{f.weight({100, 8})}, {f.ids}), "[batch, tokens, 8]");
  EXPECT_EQ(f(Linear{f.weight({5, 8}), f.weight({5})}, {f.x}), "[batch, tokens, 5]");
  EXPECT_EQ(f(RmsNorm{f.weight({2}), 1e-6}, {f.q}), "[batch, tokens, 4, 2]");
  EXPECT_EQ(f(Add{}, {f.x, f.x}), "[batch, tokens, 8]");
  EXPECT_EQ(f(Mul{}, {f.x, f.x}), "[batch, tokens, 8]");
  EXPECT_EQ(f(Silu{}, {f.x}), "[batch, tokens, 8]");
  EXPECT_EQ(f(Angles{{1e4, DefaultRope{}}, 6}, {f.ids}), "[batch, tokens, 6]");
  EXPECT_EQ(f(Rope{}, {f.q, f.angles}), "[batch, tokens, 4, 2]");
  EXPECT_EQ(f(Attention{1, true, 0}, {f.q, f.k, f.k}), "[batch, tokens, 4, 2]");
  EXPECT_EQ(f(Reshape{{B, T, 2, 4}}, {f.x}), "[batch, tokens, 2, 4]");
  EXPECT_EQ(f(BlendRows{f.weight({100, 8})}, {f.places, f.shares}), "[batch, tokens, 8]");
  EXPECT_EQ(f(PutRows{}, {f.x, f.x, f.ids}), "[batch, tokens, 8]");
  EXPECT_EQ(f(Linear{f.weight({5, 2, 2, 2}), f.weight({5})}, {f.x}), "[batch, tokens, 5]");
  EXPECT_EQ(f(LayerNorm{f.weight({8}), f.weight({8}), 1e-6}, {f.x}), "[batch, tokens, 8]");
  EXPECT_EQ(f(Gelu{GeluForm::erf}, {f.x}), "[batch, tokens, 8]");
  EXPECT_EQ(f(Angles{{1e4, DefaultRope{}, InterleavedAxes{{1, 1, 1}}}, 6}, {f.places}), "[batch, tokens, 6]");
  EXPECT_EQ(f(Slice{3, 5}, {f.x}), "[batch, tokens, 5]");
  EXPECT_EQ(f(MergeRows{4}, {f.patches}), "[batch, tokens, 32]");
}

TEST(Infer, NamesTheNodeAndWhatDoesNotFit) {
  Fixture f;
  EXPECT_EQ(f(Embed{f.weight({100, 8})}, {f.x}), "node: ids must be i64[batch, tokens]");
  EXPECT_EQ(f(Embed{f.weight({100})}, {f.ids}), "node: w[100] is not a matrix");
  EXPECT_EQ(f(Linear{f.weight({5, 9}), std::nullopt}, {f.x}), "node: x[batch, tokens, 8] does not fit w[5, 9]");
  EXPECT_EQ(f(Linear{f.weight({5, 8}), f.weight({4})}, {f.x}), "node: bias[4] does not fit w[5, 8]");
  EXPECT_EQ(f(Linear{f.weight({5, 8}), std::nullopt}, {f.ids}), "node: expected activations [batch, tokens, ...]");
  EXPECT_EQ(f(Linear{f.weight({5, 8}), std::nullopt}, {f.x, f.x}), "node: 2 inputs, expected 1");
  EXPECT_EQ(f(RmsNorm{f.weight({7}), 1e-6}, {f.x}), "node: x[batch, tokens, 8] does not fit w[7]");
  EXPECT_EQ(f(BlendRows{f.weight({100, 8})}, {f.ids, f.shares}), "node: ids must be i64[batch, tokens, rows]");
  EXPECT_EQ(f(BlendRows{f.weight({100, 8})}, {f.places, f.angles}),
            "node: ids[batch, tokens, 3] and shares[batch, tokens, 2] differ");
  EXPECT_EQ(f(PutRows{}, {f.x, f.wide, f.ids}), "node: rows[batch, tokens, 16] do not fit x[batch, tokens, 8]");
  EXPECT_EQ(f(PutRows{}, {f.x, f.x, f.places}), "node: the mask must be i64[batch, tokens]");
  EXPECT_EQ(f(Linear{f.weight({8}), std::nullopt}, {f.x}), "node: w[8] is not a matrix");
  EXPECT_EQ(f(LayerNorm{f.weight({8}), f.weight({7}), 1e-6}, {f.x}), "node: x[batch, tokens, 8] does not fit w[7]");
  EXPECT_EQ(f(Angles{{1e4, DefaultRope{}, InterleavedAxes{{1, 1, 1}}}, 6}, {f.ids}),
            "node: positions must be i64[batch, tokens, 3]");
  EXPECT_EQ(f(Angles{{1e4, DefaultRope{}, InterleavedAxes{{2, 1, 1}}}, 6}, {f.places}),
            "node: sections 2 1 1 are not 3 pairs");
  EXPECT_EQ(f(Slice{4, 5}, {f.x}), "node: [batch, tokens, 8] has no elements [4, 9)");
  EXPECT_EQ(f(MergeRows{4}, {f.x}), "node: [batch, tokens, 8] is not [batch, patches, width]");
  EXPECT_EQ(f(Add{}, {f.x, f.wide}), "node: [batch, tokens, 8] and [batch, tokens, 16] differ");
  EXPECT_EQ(f(Angles{{1e4, DefaultRope{}}, 7}, {f.ids}), "node: rotary dimension 7 is not even");
  EXPECT_EQ(f(Angles{{1e4, DefaultRope{}}, 6}, {f.x}), "node: positions must be i64[batch, tokens]");
  EXPECT_EQ(f(Rope{}, {f.q, f.x}), "node: angles[batch, tokens, 8] do not fit x[batch, tokens, 4, 2]");
  EXPECT_EQ(f(Rope{}, {f.x, f.angles}), "node: [batch, tokens, 8] is not [batch, tokens, heads, dim]");
  EXPECT_EQ(f(Attention{1, true, 0}, {f.q, f.three, f.three}),
            "node: q[batch, tokens, 4, 2], k[batch, tokens, 3, 2] and v[batch, tokens, 3, 2] do not fit");
  EXPECT_EQ(f(Reshape{{B, T, 3}}, {f.x}), "node: [batch, tokens, 8] cannot become [batch, tokens, 3]");
  EXPECT_EQ(f(Reshape{{T, B, 8}}, {f.x}), "node: [batch, tokens, 8] cannot become [tokens, batch, 8]");
}

}  // namespace
}  // namespace duan::ir
