#include "ir/graph.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace duan::ir {

std::string_view op_name(const Op& op) {
  struct Namer {
    std::string_view operator()(const Embed&) { return "Embed"; }
    std::string_view operator()(const BlendRows&) { return "BlendRows"; }
    std::string_view operator()(const PutRows&) { return "PutRows"; }
    std::string_view operator()(const Linear&) { return "Linear"; }
    std::string_view operator()(const RmsNorm&) { return "RmsNorm"; }
    std::string_view operator()(const LayerNorm&) { return "LayerNorm"; }
    std::string_view operator()(const Add&) { return "Add"; }
    std::string_view operator()(const Mul&) { return "Mul"; }
    std::string_view operator()(const Silu&) { return "Silu"; }
    std::string_view operator()(const Gelu&) { return "Gelu"; }
    std::string_view operator()(const Angles&) { return "Angles"; }
    std::string_view operator()(const Rope&) { return "Rope"; }
    std::string_view operator()(const Attention&) { return "Attention"; }
    std::string_view operator()(const Reshape&) { return "Reshape"; }
    std::string_view operator()(const Slice&) { return "Slice"; }
    std::string_view operator()(const MergeRows&) { return "MergeRows"; }
  };
  return std::visit(Namer{}, op);
}

std::vector<WeightId> weights_of(const Op& op) {
  if (const auto* embed = std::get_if<Embed>(&op)) return {embed->weight};
  if (const auto* blend = std::get_if<BlendRows>(&op)) return {blend->weight};
  if (const auto* norm = std::get_if<RmsNorm>(&op)) return {norm->weight};
  if (const auto* norm = std::get_if<LayerNorm>(&op)) return {norm->weight, norm->bias};
  if (const auto* linear = std::get_if<Linear>(&op)) {
    if (linear->bias) return {linear->weight, *linear->bias};
    return {linear->weight};
  }
  return {};
}

std::vector<int> use_counts(const Graph& graph) {
  std::vector<int> counts(graph.values.size(), 0);
  for (const Node& node : graph.nodes) {
    for (const ValueId input : node.inputs) ++counts[static_cast<size_t>(input)];
  }
  for (const ValueId output : graph.outputs) ++counts[static_cast<size_t>(output)];
  return counts;
}

int64_t width(const ValueType& type) {
  int64_t product = 1;
  for (const Dim& dim : type.dims) {
    if (dim.name == DimName::none) product *= dim.extent;
  }
  return product;
}

std::string to_string(const Dims& dims) {
  std::vector<std::string> parts;
  for (const Dim& dim : dims) {
    switch (dim.name) {
      case DimName::none:
        parts.push_back(std::to_string(dim.extent));
        break;
      case DimName::batch:
        parts.emplace_back("batch");
        break;
      case DimName::tokens:
        parts.emplace_back("tokens");
        break;
      case DimName::patches:
        parts.emplace_back("patches");
        break;
    }
  }
  return fmt::format("[{}]", fmt::join(parts, ", "));
}

}  // namespace duan::ir
