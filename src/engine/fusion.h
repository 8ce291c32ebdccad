// Which nodes of a graph a plan computes together.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace duan::engine {

struct GateUp {         // keyed by the Mul node
  ir::NodeId gate, up;  // Linear nodes; the Silu between is absorbed too
};

struct NormRope {    // keyed by the Attention node
  ir::ValueId q, k;  // what the projections made (before norm and rotation)
  ir::ValueId angles;
  ir::NodeId q_norm = -1, k_norm = -1;  // RmsNorm nodes, both or none
};

struct Fusions {
  std::map<ir::NodeId, GateUp> gate_up;
  std::map<ir::NodeId, ir::NodeId> residual;  // Add node -> Linear node whose result it adds
  std::map<ir::NodeId, NormRope> norm_rope;
  std::map<ir::NodeId, std::vector<ir::NodeId>> shared_input;  // first Linear -> all of the group, in order
  std::map<ir::NodeId, std::vector<ir::NodeId>> split_linear;  // Linear -> the Slices of its result
  std::set<ir::NodeId> absorbed;                               // nodes that have no step of their own
};

// All that apply, except those named in `disabled`.
Fusions find_fusions(const ir::Graph& graph, const std::set<std::string>& disabled);

}  // namespace duan::engine
