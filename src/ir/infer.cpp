#include "base/error.h"
#include "ir/graph.h"

namespace duan::ir {
namespace {

class Inference {
 public:
  Inference(const Graph& graph, const std::string& node_name, const std::vector<ValueId>& inputs)
      : graph_(graph), node_name_(node_name), inputs_(inputs) {}

  ValueType operator()(const Embed& op) const {
    expect_inputs(1);
    const Shape& weight = matrix(op.weight);
    if (type(0).dtype != DType::i64 || type(0).dims.size() != 2) fail("ids must be i64[batch, tokens]");
    Dims dims = type(0).dims;
    dims.push_back(weight[1]);
    return {DType::f32, dims};
  }

  ValueType operator()(const BlendRows& op) const {
    expect_inputs(2);
    const ValueType &ids = type(0), &shares = type(1);
    if (ids.dtype != DType::i64 || ids.dims.size() != 3) fail("ids must be i64[batch, tokens, rows]");
    if (shares.dtype != DType::f32 || shares.dims != ids.dims) {
      fail(fmt::format("ids{} and shares{} differ", to_string(ids.dims), to_string(shares.dims)));
    }
    return {DType::f32, {ids.dims[0], ids.dims[1], matrix(op.weight)[1]}};
  }

  ValueType operator()(const PutRows&) const {
    expect_inputs(3);
    const Dims& x = activation(0).dims;
    if (x.size() != 3 || activation(1).dims != x) {
      fail(fmt::format("rows{} do not fit x{}", to_string(type(1).dims), to_string(x)));
    }
    if (type(2).dtype != DType::i64 || type(2).dims != Dims{x[0], x[1]}) fail("the mask must be i64[batch, tokens]");
    return type(0);
  }

  ValueType operator()(const Linear& op) const {
    expect_inputs(1);
    const Shape& weight = graph_.weight(op.weight).shape;
    if (weight.size() < 2) fail(fmt::format("w{} is not a matrix", duan::to_string(weight)));
    Dims dims = activation(0).dims;
    int64_t in = 1;
    for (size_t i = 1; i < weight.size(); ++i) in *= weight[i];
    if (dims.back() != Dim(in)) {
      fail(fmt::format("x{} does not fit w{}", to_string(dims), duan::to_string(weight)));
    }
    if (op.bias && graph_.weight(*op.bias).shape != Shape{weight[0]}) {
      fail(fmt::format("bias{} does not fit w{}", duan::to_string(graph_.weight(*op.bias).shape),
                       duan::to_string(weight)));
    }
    dims.back() = weight[0];
    return {DType::f32, dims};
  }

  ValueType operator()(const RmsNorm& op) const {
    expect_inputs(1);
    const Dims& dims = activation(0).dims;
    const Shape& weight = graph_.weight(op.weight).shape;
    if (weight.size() != 1 || dims.back() != Dim(weight[0])) {
      fail(fmt::format("x{} does not fit w{}", to_string(dims), duan::to_string(weight)));
    }
    return type(0);
  }

  ValueType operator()(const LayerNorm& op) const {
    expect_inputs(1);
    const Dims& dims = activation(0).dims;
    for (const WeightId id : {op.weight, op.bias}) {
      const Shape& vector = graph_.weight(id).shape;
      if (vector.size() != 1 || dims.back() != Dim(vector[0])) {
        fail(fmt::format("x{} does not fit {}{}", to_string(dims), graph_.weight(id).name, duan::to_string(vector)));
      }
    }
    return type(0);
  }

  ValueType operator()(const Add&) const { return same_pair(); }
  ValueType operator()(const Mul&) const { return same_pair(); }
  ValueType operator()(const Silu&) const {
    expect_inputs(1);
    return activation(0);
  }

  ValueType operator()(const Gelu&) const {
    expect_inputs(1);
    return activation(0);
  }

  ValueType operator()(const Angles& op) const {
    expect_inputs(1);
    const Dims& from = type(0).dims;
    const int64_t axes = axis_count(op.rope.axes);
    const bool fits = axes == 1 ? from.size() == 2 : from.size() == 3 && from[2] == Dim(axes);
    if (type(0).dtype != DType::i64 || !fits) {
      fail(axes == 1 ? "positions must be i64[batch, tokens]"
                     : fmt::format("positions must be i64[batch, tokens, {}]", axes));
    }
    if (op.dim <= 0 || op.dim % 2 != 0) fail(fmt::format("rotary dimension {} is not even", op.dim));
    if (std::holds_alternative<HalvedAxes>(op.rope.axes) && op.dim % 4 != 0) {
      fail(fmt::format("rotary dimension {} does not divide by 4", op.dim));
    }
    if (const auto* interleaved = std::get_if<InterleavedAxes>(&op.rope.axes)) {
      const auto& s = interleaved->sections;
      if (s[0] + s[1] + s[2] != op.dim / 2)
        fail(fmt::format("sections {} {} {} are not {} pairs", s[0], s[1], s[2], op.dim / 2));
    }
    return {DType::f32, {from[0], from[1], op.dim}};
  }

  ValueType operator()(const Rope&) const {
    expect_inputs(2);
    const Dims& x = heads(0);
    const Dims& angles = activation(1).dims;
    if (angles.size() != 3 || angles.back() != x.back()) {
      fail(fmt::format("angles{} do not fit x{}", to_string(angles), to_string(x)));
    }
    return type(0);
  }

  ValueType operator()(const Attention&) const {
    expect_inputs(3);
    const Dims &q = heads(0), &k = heads(1), &v = heads(2);
    if (k != v || q[3] != k[3] || k[2].extent == 0 || q[2].extent % k[2].extent != 0) {
      fail(fmt::format("q{}, k{} and v{} do not fit", to_string(q), to_string(k), to_string(v)));
    }
    return type(0);
  }

  ValueType operator()(const Reshape& op) const {
    expect_inputs(1);
    const ValueType result{type(0).dtype, op.dims};
    const Dims& from = type(0).dims;
    const bool front_kept = op.dims.size() >= 2 && from.size() >= 2 && op.dims[0] == from[0] && op.dims[1] == from[1];
    if (!front_kept || width(result) != width(type(0))) {
      fail(fmt::format("{} cannot become {}", to_string(from), to_string(op.dims)));
    }
    return result;
  }

  ValueType operator()(const Slice& op) const {
    expect_inputs(1);
    Dims dims = activation(0).dims;
    if (op.first < 0 || op.count <= 0 || op.first > dims.back().extent - op.count) {
      fail(fmt::format("{} has no elements [{}, {})", to_string(dims), op.first, op.first + op.count));
    }
    dims.back() = op.count;
    return {DType::f32, dims};
  }

  ValueType operator()(const MergeRows& op) const {
    expect_inputs(1);
    const Dims& from = activation(0).dims;
    if (from.size() != 3 || from[1] != Dim(DimName::patches) || op.count <= 0) {
      fail(fmt::format("{} is not [batch, patches, width]", to_string(from)));
    }
    return {DType::f32, {from[0], DimName::tokens, op.count * from[2].extent}};
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw Error(what, node_name_); }

  void expect_inputs(size_t count) const {
    if (inputs_.size() != count) fail(fmt::format("{} inputs, expected {}", inputs_.size(), count));
  }
  const ValueType& type(size_t i) const { return graph_.value(inputs_[i]).type; }
  const ValueType& activation(size_t i) const {
    if (type(i).dtype != DType::f32 || type(i).dims.size() < 3) fail("expected activations [batch, tokens, ...]");
    return type(i);
  }
  const Dims& heads(size_t i) const {
    if (activation(i).dims.size() != 4)
      fail(fmt::format("{} is not [batch, tokens, heads, dim]", to_string(type(i).dims)));
    return type(i).dims;
  }
  const Shape& matrix(WeightId id) const {
    const WeightInfo& weight = graph_.weight(id);
    if (weight.shape.size() != 2) fail(fmt::format("{}{} is not a matrix", weight.name, duan::to_string(weight.shape)));
    return weight.shape;
  }
  ValueType same_pair() const {
    expect_inputs(2);
    if (activation(0) != activation(1)) {
      fail(fmt::format("{} and {} differ", to_string(type(0).dims), to_string(type(1).dims)));
    }
    return type(0);
  }

  const Graph& graph_;
  const std::string& node_name_;
  const std::vector<ValueId>& inputs_;
};

}  // namespace

ValueType infer(const Graph& graph, const std::string& node_name, const Op& op, const std::vector<ValueId>& inputs) {
  return std::visit(Inference(graph, node_name, inputs), op);
}

}  // namespace duan::ir
