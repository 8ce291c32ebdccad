#include "ir/builder.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace duan::ir {
namespace {

WeightId declare(Graph& graph, std::string name, Shape shape) {
  const auto found = std::find_if(graph.weights.begin(), graph.weights.end(),
                                  [&](const WeightInfo& weight) { return weight.name == name; });
  if (found == graph.weights.end()) {
    graph.weights.push_back({std::move(name), std::move(shape)});
    return static_cast<WeightId>(graph.weights.size()) - 1;
  }
  if (found->shape != shape) {
    throw Error(fmt::format("is used as {} and as {}", duan::to_string(found->shape), duan::to_string(shape)), name);
  }
  return static_cast<WeightId>(found - graph.weights.begin());
}

Value add_node(Graph& graph, std::string name, Op op, std::vector<ValueId> inputs) {
  ValueType type = infer(graph, name, op, inputs);
  const auto id = static_cast<ValueId>(graph.values.size());
  graph.values.push_back({name, std::move(type), static_cast<NodeId>(graph.nodes.size())});
  graph.nodes.push_back({std::move(name), std::move(op), std::move(inputs), id});
  return {&graph, id};
}

}  // namespace

Scope Scope::operator/(std::string_view part) const {
  return Scope(*graph_, path_.empty() ? std::string(part) : path_ + "." + std::string(part));
}

Value input(Graph& graph, std::string name, DType dtype, Dims dims) {
  const auto id = static_cast<ValueId>(graph.values.size());
  graph.values.push_back({std::move(name), {dtype, std::move(dims)}, -1});
  graph.inputs.push_back(id);
  return {&graph, id};
}

void output(Value value) { value.graph->outputs.push_back(value.id); }

Value embed(Scope scope, Value ids, int64_t vocab, int64_t width) {
  const WeightId weight = declare(scope.graph(), scope.path() + ".weight", {vocab, width});
  return add_node(scope.graph(), scope.path(), Embed{weight}, {ids.id});
}

Value blend_rows(Scope scope, Value ids, Value shares, int64_t rows, int64_t width) {
  const WeightId weight = declare(scope.graph(), scope.path() + ".weight", {rows, width});
  return add_node(scope.graph(), scope.path(), BlendRows{weight}, {ids.id, shares.id});
}

Value put_rows(Value x, Value rows, Value mask) {
  return add_node(*x.graph, rows.info().name + ".put", PutRows{}, {x.id, rows.id, mask.id});
}

Value linear(Scope scope, Value x, int64_t out, bool bias) {
  return linear(scope, x, {out, x.info().type.dims.back().extent}, bias);
}

Value linear(Scope scope, Value x, Shape weight, bool bias) {
  Graph& graph = scope.graph();
  const int64_t out = weight.at(0);
  Linear op{declare(graph, scope.path() + ".weight", std::move(weight)), std::nullopt};
  if (bias) op.bias = declare(graph, scope.path() + ".bias", {out});
  // A tied head reads the embedding's weight; the embedding already has the scope's name.
  const bool taken = std::any_of(graph.values.begin(), graph.values.end(),
                                 [&](const ValueInfo& value) { return value.name == scope.path(); });
  return add_node(graph, taken ? scope.path() + ".linear" : scope.path(), op, {x.id});
}

Value rms_norm(Scope scope, Value x, double eps) {
  const WeightId weight = declare(scope.graph(), scope.path() + ".weight", {x.info().type.dims.back().extent});
  return add_node(scope.graph(), scope.path(), RmsNorm{weight, eps}, {x.id});
}

Value layer_norm(Scope scope, Value x, double eps) {
  const Shape shape{x.info().type.dims.back().extent};
  const WeightId weight = declare(scope.graph(), scope.path() + ".weight", shape);
  const WeightId bias = declare(scope.graph(), scope.path() + ".bias", shape);
  return add_node(scope.graph(), scope.path(), LayerNorm{weight, bias, eps}, {x.id});
}

Value silu(Value x) { return add_node(*x.graph, x.info().name + ".silu", Silu{}, {x.id}); }
Value gelu(Value x, GeluForm form) { return add_node(*x.graph, x.info().name + ".gelu", Gelu{form}, {x.id}); }
Value operator+(Value a, Value b) { return add_node(*a.graph, b.info().name + ".add", Add{}, {a.id, b.id}); }
Value operator*(Value a, Value b) { return add_node(*a.graph, b.info().name + ".mul", Mul{}, {a.id, b.id}); }

Value angles(Value positions, const duan::Rope& rope, int64_t dim) {
  return add_node(*positions.graph, positions.info().name + ".angles", Angles{rope, dim}, {positions.id});
}

Value rope(Value x, Value angles) { return add_node(*x.graph, x.info().name + ".rope", Rope{}, {x.id, angles.id}); }

Value split_heads(Value x, int64_t heads) {
  const int64_t all = x.info().type.dims.back().extent;
  if (heads <= 0 || all % heads != 0) {
    throw Error(fmt::format("width {} does not divide into {} heads", all, heads), x.info().name);
  }
  return add_node(*x.graph, x.info().name + ".heads", Reshape{{B, x.info().type.dims[1], heads, all / heads}}, {x.id});
}

Value slice(Value x, int64_t first, int64_t count, std::string_view name) {
  return add_node(*x.graph, x.info().name + "." + std::string(name), Slice{first, count}, {x.id});
}

Value merge_rows(Value x, int64_t count) {
  return add_node(*x.graph, x.info().name + ".merged", MergeRows{count}, {x.id});
}

namespace {

Value joined_attention(Value q, Value k, Value v, bool causal, int32_t cache) {
  const Dims dims = q.info().type.dims;
  const int64_t heads = dims[2].extent, head_dim = dims[3].extent;
  const std::string name = q.info().name + ".attention";
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
  const Value mixed = add_node(*q.graph, name, Attention{scale, causal, cache}, {q.id, k.id, v.id});
  return add_node(*q.graph, name + ".joined", Reshape{{B, dims[1], heads * head_dim}}, {mixed.id});
}

}  // namespace

Value attention(Value q, Value k, Value v, int layer) { return joined_attention(q, k, v, true, layer); }
Value full_attention(Value q, Value k, Value v) { return joined_attention(q, k, v, false, kNoCache); }

}  // namespace duan::ir
