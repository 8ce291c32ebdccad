#include <algorithm>
#include <set>

#include "base/error.h"
#include "ir/graph.h"

namespace duan::ir {

void verify(const Graph& graph) {
  std::set<std::string> names;
  for (const ValueInfo& value : graph.values) {
    DUAN_CHECK(!value.name.empty() && names.insert(value.name).second, "value name \"{}\" is not unique", value.name);
  }
  std::set<std::string> weight_names;
  for (const WeightInfo& weight : graph.weights) {
    DUAN_CHECK(weight_names.insert(weight.name).second, "weight \"{}\" is declared twice", weight.name);
    DUAN_CHECK(element_count(weight.shape).value_or(0) > 0, "weight {} has shape {}", weight.name,
               duan::to_string(weight.shape));
  }

  std::vector<bool> ready(graph.values.size(), false);
  for (const ValueId id : graph.inputs) {
    DUAN_CHECK(graph.value(id).producer == -1, "input {} has a producer", graph.value(id).name);
    ready[static_cast<size_t>(id)] = true;
  }
  std::set<int32_t> caches;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    for (const ValueId id : node.inputs) {
      DUAN_CHECK(ready[static_cast<size_t>(id)], "{} reads {} before it is made", node.name, graph.value(id).name);
    }
    for (const WeightId id : weights_of(node.op)) {
      DUAN_CHECK(id >= 0 && static_cast<size_t>(id) < graph.weights.size(), "{} reads weight {}", node.name, id);
    }
    if (const auto* attention = std::get_if<Attention>(&node.op); attention && attention->cache != kNoCache) {
      DUAN_CHECK(caches.insert(attention->cache).second, "{} shares KV cache {}", node.name, attention->cache);
    }
    const ValueInfo& output = graph.value(node.output);
    DUAN_CHECK(output.producer == static_cast<NodeId>(i), "{} does not know its producer", output.name);
    DUAN_CHECK(output.type == infer(graph, node.name, node.op, node.inputs), "{} has a wrong type", node.name);
    ready[static_cast<size_t>(node.output)] = true;
  }
  DUAN_CHECK(!graph.outputs.empty(), "graph {} has no output", graph.name);
  for (const ValueId id : graph.outputs) DUAN_CHECK(ready[static_cast<size_t>(id)], "an output is never made");
}

}  // namespace duan::ir
