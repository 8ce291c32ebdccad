#include "ir/subgraph.h"

#include <algorithm>
#include <map>

#include "base/error.h"

namespace duan::ir {
namespace {

// By value: follows from the inputs of the graph without weights.
std::vector<bool> free_values(const Graph& graph) {
  std::vector<bool> is_free(graph.values.size(), false);
  for (const ValueId input : graph.inputs) is_free[static_cast<size_t>(input)] = true;
  for (const Node& node : graph.nodes) {
    const bool follows = std::all_of(node.inputs.begin(), node.inputs.end(),
                                     [&](ValueId input) { return is_free[static_cast<size_t>(input)]; });
    is_free[static_cast<size_t>(node.output)] = follows && weights_of(node.op).empty();
  }
  return is_free;
}

// Values made before node `at` and read by it or later, the free ones apart.
std::vector<ValueId> crossing(const Graph& graph, const std::vector<bool>& is_free, NodeId at) {
  std::vector<ValueId> found;
  const auto add = [&](ValueId value) {
    const NodeId producer = graph.value(value).producer;
    const bool is_new = std::find(found.begin(), found.end(), value) == found.end();
    if (producer >= 0 && producer < at && !is_free[static_cast<size_t>(value)] && is_new) found.push_back(value);
  };
  for (auto later = static_cast<size_t>(at); later < graph.nodes.size(); ++later) {
    for (const ValueId input : graph.nodes[later].inputs) add(input);
  }
  for (const ValueId output : graph.outputs) add(output);
  return found;
}

class Copier {
 public:
  explicit Copier(const Graph& graph) : from_(graph) { to_.name = graph.name; }

  void add_node(NodeId id) {
    Node node = from_.node(id);
    for (ValueId& input : node.inputs) input = value(input);
    struct Renumber {
      Copier& copier;
      void operator()(Embed& op) const { op.weight = copier.weight(op.weight); }
      void operator()(Linear& op) const {
        op.weight = copier.weight(op.weight);
        if (op.bias) op.bias = copier.weight(*op.bias);
      }
      void operator()(BlendRows& op) const { op.weight = copier.weight(op.weight); }
      void operator()(PutRows&) const {}
      void operator()(RmsNorm& op) const { op.weight = copier.weight(op.weight); }
      void operator()(LayerNorm& op) const {
        op.weight = copier.weight(op.weight);
        op.bias = copier.weight(op.bias);
      }
      void operator()(Add&) const {}
      void operator()(Mul&) const {}
      void operator()(Silu&) const {}
      void operator()(Gelu&) const {}
      void operator()(Angles&) const {}
      void operator()(Rope&) const {}
      void operator()(Attention&) const {}
      void operator()(Reshape&) const {}
      void operator()(Slice&) const {}
      void operator()(MergeRows&) const {}
    };
    std::visit(Renumber{*this}, node.op);
    const ValueId made = node.output;
    node.output = new_value(made, static_cast<NodeId>(to_.nodes.size()));
    to_.nodes.push_back(std::move(node));
  }

  void set_output(ValueId output) { to_.outputs = {values_.at(output)}; }
  Graph take() { return std::move(to_); }

 private:
  ValueId new_value(ValueId old, NodeId producer) {
    to_.values.push_back(from_.value(old));
    to_.values.back().producer = producer;
    return values_[old] = static_cast<ValueId>(to_.values.size()) - 1;
  }
  ValueId value(ValueId old) {  // one not made here is an input
    if (const auto known = values_.find(old); known != values_.end()) return known->second;
    const ValueId input = new_value(old, -1);
    to_.inputs.push_back(input);
    return input;
  }
  WeightId weight(WeightId old) {
    const auto [at, is_new] = weights_.emplace(old, static_cast<WeightId>(to_.weights.size()));
    if (is_new) to_.weights.push_back(from_.weight(old));
    return at->second;
  }

  const Graph& from_;
  Graph to_;
  std::map<ValueId, ValueId> values_;
  std::map<WeightId, WeightId> weights_;
};

}  // namespace

std::vector<NodeId> cut_points(const Graph& graph) {
  const std::vector<bool> is_free = free_values(graph);
  std::vector<NodeId> cuts{0};
  for (NodeId at = 1; at < static_cast<NodeId>(graph.nodes.size()); ++at) {
    const Op& before = graph.node(at - 1).op;
    const bool on_residual = std::holds_alternative<Add>(before) || std::holds_alternative<Embed>(before);
    if (!on_residual) continue;
    const std::vector<ValueId> live = crossing(graph, is_free, at);
    if (live.size() == 1 && live[0] == graph.node(at - 1).output) cuts.push_back(at);
  }
  cuts.push_back(static_cast<NodeId>(graph.nodes.size()));
  return cuts;
}

Graph subgraph(const Graph& graph, NodeId first, NodeId last) {
  const std::vector<bool> is_free = free_values(graph);
  DUAN_CHECK(crossing(graph, is_free, first).size() <= 1, "{} values cross node {}",
             crossing(graph, is_free, first).size(), first);
  // What is read after `last`; after the graph's end, its outputs.
  std::vector<ValueId> out = crossing(graph, is_free, last);
  DUAN_CHECK(out.size() == 1 && graph.value(out[0]).producer >= first, "{} values cross node {}", out.size(), last);

  std::vector<bool> wanted(graph.nodes.size(), false);
  for (NodeId id = last - 1; id >= 0; --id) {
    const Node& node = graph.node(id);
    if (id >= first) wanted[static_cast<size_t>(id)] = true;
    if (!wanted[static_cast<size_t>(id)]) continue;
    for (const ValueId input : node.inputs) {
      const NodeId producer = graph.value(input).producer;
      if (producer >= 0 && is_free[static_cast<size_t>(input)]) wanted[static_cast<size_t>(producer)] = true;
    }
  }
  Copier copier(graph);
  for (NodeId id = 0; id < last; ++id) {
    if (wanted[static_cast<size_t>(id)]) copier.add_node(id);
  }
  copier.set_output(out[0]);
  return copier.take();
}

Graph up_to(const Graph& graph, ValueId value) {
  std::vector<bool> needed(graph.values.size(), false);
  needed[static_cast<size_t>(value)] = true;
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    if (!needed[static_cast<size_t>(node->output)]) continue;
    for (const ValueId input : node->inputs) needed[static_cast<size_t>(input)] = true;
  }
  Copier copier(graph);
  for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes.size()); ++id) {
    if (needed[static_cast<size_t>(graph.node(id).output)]) copier.add_node(id);
  }
  copier.set_output(value);
  return copier.take();
}

}  // namespace duan::ir
