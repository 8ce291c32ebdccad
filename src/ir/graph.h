// A model as a graph: values, weights by their names in the checkpoint, and nodes in the order they run.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ir/ops.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace duan::ir {

using ValueId = int32_t;  // index into Graph::values
using NodeId = int32_t;   // index into Graph::nodes

struct ValueType {
  DType dtype;  // f32 stands for "floating point": the precision of activations is a run-time choice
  Dims dims;
  bool operator==(const ValueType&) const = default;
};

struct ValueInfo {
  std::string name;  // the node's, or the input's
  ValueType type;
  NodeId producer;  // -1 for an input
};

struct WeightInfo {
  std::string name;  // the checkpoint's own: "model.layers.0.self_attn.q_proj.weight"
  Shape shape;
};

struct Node {
  std::string name;  // unique; the weight's scope, or the input's name and the op: "….gate_proj.silu"
  Op op;
  std::vector<ValueId> inputs;
  ValueId output;
};

// Inputs that whoever runs a graph knows by name; i64 unless said otherwise. A decoder has the first two. A decoder
// that sees images also has, for every token: whether an image's row stands there, that row, and what is added after
// the first layers ("deepstack_embeds.<layer>"), the last two f32 and 0 where no image is.
inline constexpr std::string_view kInputIds = "input_ids", kPositionIds = "position_ids", kImageMask = "image_mask",
                                  kImageEmbeds = "image_embeds", kDeepstackEmbeds = "deepstack_embeds.";
// A vision tower's, for every patch: its pixels (f32), its (y, x), and the rows and shares (f32) of the table of
// positions.
inline constexpr std::string_view kPixelValues = "pixel_values", kPatchPositions = "patch_positions",
                                  kTableRows = "table_rows", kTableShares = "table_shares";

struct Graph {
  std::string name;
  std::vector<WeightInfo> weights{};
  std::vector<ValueInfo> values{};
  std::vector<Node> nodes{};
  std::vector<ValueId> inputs{};
  std::vector<ValueId> outputs{};

  const ValueInfo& value(ValueId id) const { return values[static_cast<size_t>(id)]; }
  const WeightInfo& weight(WeightId id) const { return weights[static_cast<size_t>(id)]; }
  const Node& node(NodeId id) const { return nodes[static_cast<size_t>(id)]; }
};

std::string_view op_name(const Op& op);  // "Linear"

// The weights a node reads, in order.
std::vector<WeightId> weights_of(const Op& op);

// How often each value is read: by nodes, and once more if it is an output of the graph.
std::vector<int> use_counts(const Graph& graph);

// Elements per token: the product of all dimensions after batch and tokens.
int64_t width(const ValueType& type);

// The type of the node's output. Throws Error naming the node if the operands do not fit.
ValueType infer(const Graph& graph, const std::string& node_name, const Op& op, const std::vector<ValueId>& inputs);

// Throws InternalError if the graph breaks a rule: order, types, unique names, weights in range, outputs present.
void verify(const Graph& graph);

// The canonical text, one node a line; equal graphs have equal text.
std::string print(const Graph& graph);
std::string to_string(const Dims& dims);

}  // namespace duan::ir
