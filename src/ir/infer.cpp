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

  ValueType operator()(const Linear& op) const {
    expect_inputs(1);
    const Shape& weight = matrix(op.weight);
    Dims dims = activation(0).dims;
    if (dims.back() != Dim(weight[1])) {
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

  ValueType operator()(const Add&) const { return same_pair(); }
  ValueType operator()(const Mul&) const { return same_pair(); }
  ValueType operator()(const Silu&) const {
    expect_inputs(1);
    return activation(0);
  }

  ValueType operator()(const Angles& op) const {
    expect_inputs(1);
    if (type(0).dtype != DType::i64 || type(0).dims.size() != 2) fail("positions must be i64[batch, tokens]");
    if (op.dim <= 0 || op.dim % 2 != 0) fail(fmt::format("rotary dimension {} is not even", op.dim));
    Dims dims = type(0).dims;
    dims.push_back(op.dim);
    return {DType::f32, dims};
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
