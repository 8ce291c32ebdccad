#include "engine/fusion.h"

namespace duan::engine {
namespace {

using ir::NodeId;
using ir::ValueId;

class Finder {
 public:
  Finder(const ir::Graph& graph, const std::set<std::string>& disabled)
      : graph_(graph), disabled_(disabled), uses_(ir::use_counts(graph)) {}

  Fusions find() {
    for_each("split_linear", [&](NodeId id) { split_linear(id); });
    for_each("gate_up", [&](NodeId id) { gate_up(id); });
    for_each("residual", [&](NodeId id) { residual(id); });
    for_each("norm_rope", [&](NodeId id) { norm_rope(id); });
    for_each("shared_input", [&](NodeId id) { shared_input(id); });
    return std::move(found_);
  }

 private:
  template <typename Function>
  void for_each(const char* name, Function function) {
    if (disabled_.contains(name) || disabled_.contains("all")) return;
    for (NodeId id = 0; id < static_cast<NodeId>(graph_.nodes.size()); ++id) {
      if (!found_.absorbed.contains(id)) function(id);
    }
  }

  // The node that made the value, if it is an Op that nothing else reads and no fusion has taken.
  template <typename Op>
  NodeId sole(ValueId value) const {
    const NodeId producer = graph_.value(value).producer;
    if (producer < 0 || uses_[static_cast<size_t>(value)] != 1 || found_.absorbed.contains(producer)) return -1;
    return std::holds_alternative<Op>(graph_.node(producer).op) ? producer : -1;
  }
  const ir::Node& node(NodeId id) const { return graph_.node(id); }

  void split_linear(NodeId id) {
    if (!std::holds_alternative<ir::Linear>(node(id).op)) return;
    std::vector<NodeId> slices;
    for (NodeId later = id + 1; later < static_cast<NodeId>(graph_.nodes.size()); ++later) {
      if (std::holds_alternative<ir::Slice>(node(later).op) && node(later).inputs[0] == node(id).output) {
        slices.push_back(later);
      }
    }
    const auto readers = static_cast<size_t>(uses_[static_cast<size_t>(node(id).output)]);
    if (slices.empty() || slices.size() != readers) return;
    found_.absorbed.insert(slices.begin(), slices.end());
    found_.split_linear[id] = std::move(slices);
  }

  void gate_up(NodeId id) {
    if (!std::holds_alternative<ir::Mul>(node(id).op)) return;
    const NodeId silu = sole<ir::Silu>(node(id).inputs[0]);
    const NodeId up = sole<ir::Linear>(node(id).inputs[1]);
    if (silu < 0 || up < 0) return;
    const NodeId gate = sole<ir::Linear>(node(silu).inputs[0]);
    if (gate < 0 || node(gate).inputs[0] != node(up).inputs[0]) return;
    found_.gate_up[id] = {gate, up};
    found_.absorbed.insert({silu, up, gate});
  }

  void residual(NodeId id) {
    if (!std::holds_alternative<ir::Add>(node(id).op)) return;
    const NodeId linear = sole<ir::Linear>(node(id).inputs[1]);
    const ValueId x = node(id).inputs[0];
    if (linear < 0 || graph_.value(x).producer < 0 || read_after(x, id)) return;
    found_.residual[id] = linear;
    found_.absorbed.insert(linear);
  }

  // Accumulating into x's memory is right only if nothing reads x afterwards.
  bool read_after(ValueId x, NodeId id) const {
    for (const ValueId output : graph_.outputs) {
      if (output == x) return true;
    }
    for (size_t later = static_cast<size_t>(id) + 1; later < graph_.nodes.size(); ++later) {
      for (const ValueId input : graph_.nodes[later].inputs) {
        if (input == x) return true;
      }
    }
    return false;
  }

  void norm_rope(NodeId id) {
    if (!std::holds_alternative<ir::Attention>(node(id).op)) return;
    const NodeId q_rope = sole<ir::Rope>(node(id).inputs[0]), k_rope = sole<ir::Rope>(node(id).inputs[1]);
    if (q_rope < 0 || k_rope < 0 || node(q_rope).inputs[1] != node(k_rope).inputs[1]) return;
    NormRope fused{node(q_rope).inputs[0], node(k_rope).inputs[0], node(q_rope).inputs[1]};
    const NodeId q_norm = sole<ir::RmsNorm>(fused.q), k_norm = sole<ir::RmsNorm>(fused.k);
    if ((q_norm < 0) != (k_norm < 0)) return;
    if (q_norm >= 0) {
      if (std::get<ir::RmsNorm>(node(q_norm).op).eps != std::get<ir::RmsNorm>(node(k_norm).op).eps) return;
      fused.q = node(q_norm).inputs[0];
      fused.k = node(k_norm).inputs[0];
      fused.q_norm = q_norm;
      fused.k_norm = k_norm;
    }
    // Norm and rotation overwrite the projections' results.
    if (!made_by_linear_alone(fused.q) || !made_by_linear_alone(fused.k)) return;
    found_.norm_rope[id] = fused;
    found_.absorbed.insert({q_rope, k_rope});
    if (q_norm >= 0) found_.absorbed.insert({q_norm, k_norm});
  }

  bool made_by_linear_alone(ValueId value) const {
    if (uses_[static_cast<size_t>(value)] != 1) return false;
    const NodeId reshape = graph_.value(value).producer;
    if (reshape < 0 || !std::holds_alternative<ir::Reshape>(node(reshape).op)) return false;
    const ValueId in = node(reshape).inputs[0];
    const NodeId made_by = graph_.value(in).producer;
    if (made_by < 0 || uses_[static_cast<size_t>(in)] != 1) return false;
    const bool split = std::holds_alternative<ir::Slice>(node(made_by).op) && found_.absorbed.contains(made_by);
    return split || std::holds_alternative<ir::Linear>(node(made_by).op);
  }

  void shared_input(NodeId id) {
    if (!std::holds_alternative<ir::Linear>(node(id).op) || found_.split_linear.contains(id)) return;
    std::vector<NodeId> group{id};
    for (NodeId later = id + 1; later < static_cast<NodeId>(graph_.nodes.size()); ++later) {
      if (std::holds_alternative<ir::Linear>(node(later).op) && node(later).inputs[0] == node(id).inputs[0] &&
          !found_.absorbed.contains(later) && !found_.split_linear.contains(later)) {
        group.push_back(later);
      }
    }
    if (group.size() < 2) return;
    found_.absorbed.insert(group.begin() + 1, group.end());
    found_.shared_input[id] = std::move(group);
  }

  const ir::Graph& graph_;
  const std::set<std::string>& disabled_;
  std::vector<int> uses_;
  Fusions found_;
};

}  // namespace

Fusions find_fusions(const ir::Graph& graph, const std::set<std::string>& disabled) {
  return Finder(graph, disabled).find();
}

}  // namespace duan::engine
