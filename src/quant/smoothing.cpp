#include "quant/smoothing.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

namespace duan::quant {
namespace {

using ir::NodeId;
using ir::ValueId;

// Where a walk from a value towards its producer ended.
struct Walk {
  std::optional<NodeId> producer;
  std::string refusal;  // empty: the producer may be divided
  int64_t sharing = 1, head_dim = 0;
};

class Finder {
 public:
  Finder(const ir::Graph& graph, bool share_heads)
      : graph_(graph), share_heads_(share_heads), readers_(graph.values.size()) {
    for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes.size()); ++id) {
      for (const ValueId input : graph.node(id).inputs) readers_[static_cast<size_t>(input)].push_back(id);
      for (const ir::WeightId weight : ir::weights_of(graph.node(id).op)) weight_readers_[weight].push_back(id);
    }
  }

  Smoothing find() {
    Smoothing found;
    for (const ir::Node& node : graph_.nodes) {
      if (!std::holds_alternative<ir::Linear>(node.op)) continue;
      const ValueId value = node.inputs[0];
      const std::vector<NodeId> consumers = linear_readers(value);
      if (&graph_.node(consumers.front()) != &node) continue;  // its group has been seen
      Walk walk = producer_of(value);
      if (const std::string shared = shared_value(value, consumers); !shared.empty()) walk.refusal = shared;
      for (const NodeId consumer : consumers) {
        if (const std::string shared = shared_weight(consumer); !shared.empty()) walk.refusal = shared;
      }
      if (walk.refusal.empty()) {
        found.pairs.push_back({*walk.producer, consumers, value, walk.sharing, walk.head_dim});
      } else {
        found.refused.push_back({walk.producer, consumers, value, walk.refusal});
      }
    }
    return found;
  }

 private:
  const std::string& name(NodeId id) const { return graph_.node(id).name; }

  std::vector<NodeId> linear_readers(ValueId value) const {
    std::vector<NodeId> linears;
    for (const NodeId reader : readers_[static_cast<size_t>(value)]) {
      if (std::holds_alternative<ir::Linear>(graph_.node(reader).op)) linears.push_back(reader);
    }
    return linears;
  }

  // Why a scale on `value` would be seen by others than `expected`, or "".
  std::string shared_value(ValueId value, const std::vector<NodeId>& expected) const {
    for (const ValueId output : graph_.outputs) {
      if (output == value) return fmt::format("{} is an output of the graph", graph_.value(value).name);
    }
    const std::vector<NodeId>& readers = readers_[static_cast<size_t>(value)];
    if (readers == expected) return "";
    for (const NodeId reader : readers) {
      const bool known = std::find(expected.begin(), expected.end(), reader) != expected.end();
      if (!known) return fmt::format("{} is read by {}, too", graph_.value(value).name, name(reader));
    }
    return fmt::format("{} is read more than once by {}", graph_.value(value).name, name(readers.front()));
  }

  // Why the node's weights cannot change, or "".
  std::string shared_weight(NodeId id) const {
    for (const ir::WeightId weight : ir::weights_of(graph_.node(id).op)) {
      for (const NodeId reader : weight_readers_.at(weight)) {
        if (reader != id) return fmt::format("{} is the weight of {}, too", graph_.weight(weight).name, name(reader));
      }
    }
    return "";
  }

  // One step back, to an input that only `reader` reads.
  Walk step_back(ValueId input, NodeId reader) const {
    Walk walk = producer_of(input);
    if (const std::string shared = shared_value(input, {reader}); !shared.empty()) walk.refusal = shared;
    return walk;
  }

  Walk producer_of(ValueId value) const {
    const NodeId id = graph_.value(value).producer;
    if (id < 0) return {std::nullopt, fmt::format("{} is an input of the graph", graph_.value(value).name)};
    return std::visit([&](const auto& op) { return back(op, id, graph_.node(id)); }, graph_.node(id).op);
  }

  static Walk blocked(NodeId id, const ir::Node& node, std::string_view why) {
    return {id, fmt::format("{} ({}) {}", node.name, ir::op_name(node.op), why)};
  }

  // ---- one function per op: what a division of its output's channels asks of its inputs or weights

  Walk back(const ir::Linear&, NodeId id, const ir::Node&) const { return {id, shared_weight(id)}; }

  Walk back(const ir::RmsNorm& op, NodeId id, const ir::Node& node) const {
    if (graph_.weight(op.weight).shape[0] != ir::width(graph_.value(node.output).type)) {
      return blocked(id, node, "has one weight for all heads");
    }
    return {id, shared_weight(id)};
  }

  // The product is linear in each factor: one that can be divided is enough.
  Walk back(const ir::Mul&, NodeId id, const ir::Node& node) const {
    if (node.inputs[0] == node.inputs[1]) return blocked(id, node, "is a square");
    const Walk first = step_back(node.inputs[0], id);
    if (first.refusal.empty()) return first;
    const Walk second = step_back(node.inputs[1], id);
    if (second.refusal.empty()) return second;
    return {id, fmt::format("neither factor of {} can be divided: {}; {}", node.name, first.refusal, second.refusal)};
  }

  // Flattening heads keeps the order of the channels.
  Walk back(const ir::Reshape&, NodeId id, const ir::Node& node) const { return step_back(node.inputs[0], id); }

  // The output mixes values over positions, never over channels.
  Walk back(const ir::Attention&, NodeId id, const ir::Node& node) const {
    const int64_t heads = graph_.value(node.inputs[0]).type.dims[2].extent;
    const int64_t kv_heads = graph_.value(node.inputs[2]).type.dims[2].extent;
    Walk walk = step_back(node.inputs[2], id);
    if (heads != kv_heads && share_heads_) {
      walk.sharing = heads / kv_heads;
      walk.head_dim = ir::width(graph_.value(node.output).type) / heads;
    } else if (heads != kv_heads && walk.refusal.empty()) {
      walk.refusal = fmt::format("{} query heads share {} key/value heads: {} channels would be divided for {} columns",
                                 heads, kv_heads, ir::width(graph_.value(node.inputs[2]).type),
                                 ir::width(graph_.value(node.output).type));
    }
    return walk;
  }

  Walk back(const ir::Add&, NodeId id, const ir::Node& node) const {
    return blocked(id, node, "is a sum: both summands would have to be divided");
  }
  Walk back(const ir::Silu&, NodeId id, const ir::Node& node) const { return blocked(id, node, "is not linear"); }
  Walk back(const ir::Rope&, NodeId id, const ir::Node& node) const {
    return blocked(id, node, "mixes pairs of channels");
  }
  Walk back(const ir::Embed&, NodeId id, const ir::Node& node) const {
    return blocked(id, node, "is a table: its columns are left as they are");
  }
  Walk back(const ir::BlendRows&, NodeId id, const ir::Node& node) const {
    return blocked(id, node, "is a table: its columns are left as they are");
  }
  Walk back(const ir::PutRows&, NodeId id, const ir::Node& node) const {
    return blocked(id, node, "takes rows of images, which come from elsewhere");
  }
  Walk back(const ir::LayerNorm&, NodeId id, const ir::Node&) const { return {id, shared_weight(id)}; }
  Walk back(const ir::Gelu&, NodeId id, const ir::Node& node) const { return blocked(id, node, "is not linear"); }
  Walk back(const ir::Slice&, NodeId id, const ir::Node& node) const {
    return blocked(id, node, "takes some of the channels");
  }
  Walk back(const ir::MergeRows&, NodeId id, const ir::Node& node) const {
    return blocked(id, node, "joins rows: a channel would be divided by several scales");
  }
  Walk back(const ir::Angles&, NodeId id, const ir::Node& node) const { return blocked(id, node, "has no weight"); }

  const ir::Graph& graph_;
  bool share_heads_;
  std::vector<std::vector<NodeId>> readers_;  // by value; a node that reads it twice is there twice
  std::map<ir::WeightId, std::vector<NodeId>> weight_readers_;
};

// Query head h reads head h / sharing of the values.
size_t producer_channel(const SmoothingPair& pair, size_t column) {
  if (pair.sharing == 1) return column;
  const auto head_dim = static_cast<size_t>(pair.head_dim), sharing = static_cast<size_t>(pair.sharing);
  return column / head_dim / sharing * head_dim + column % head_dim;
}

std::string names(const ir::Graph& graph, const std::vector<NodeId>& nodes) {
  std::vector<std::string_view> parts;
  for (const NodeId id : nodes) parts.push_back(graph.node(id).name);
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

std::vector<float> SmoothingPair::shared(std::span<const float> scales) const {
  std::vector<float> equal(scales.begin(), scales.end());
  if (sharing == 1) return equal;
  std::vector<double> sums(scales.size() / static_cast<size_t>(sharing));
  for (size_t c = 0; c < scales.size(); ++c) sums[producer_channel(*this, c)] += scales[c];
  for (size_t c = 0; c < scales.size(); ++c) {
    equal[c] = static_cast<float>(sums[producer_channel(*this, c)] / static_cast<double>(sharing));
  }
  return equal;
}

std::vector<float> SmoothingPair::of_producer(std::span<const float> scales) const {
  std::vector<float> own(scales.size() / static_cast<size_t>(sharing));
  for (size_t c = 0; c < scales.size(); ++c) own[producer_channel(*this, c)] = scales[c];
  return own;
}

Smoothing find_smoothing(const ir::Graph& graph, bool share_heads) { return Finder(graph, share_heads).find(); }

std::string print(const ir::Graph& graph, const Smoothing& smoothing) {
  std::string out;
  for (const SmoothingPair& pair : smoothing.pairs) {
    out += fmt::format("{} -> {}\n", graph.node(pair.producer).name, names(graph, pair.consumers));
  }
  for (const SmoothingRefusal& refusal : smoothing.refused) {
    const std::string from = refusal.producer ? graph.node(*refusal.producer).name : graph.value(refusal.value).name;
    out += fmt::format("not {} -> {}: {}\n", from, names(graph, refusal.consumers), refusal.reason);
  }
  return out;
}

}  // namespace duan::quant
