#include "inspect/kernel_choices.h"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "kernels/attention.h"
#include "kernels/dequantize.h"
#include "kernels/linear.h"
#include "kernels/linear_int16.h"
#include "kernels/linear_int8.h"
#include "kernels/rows.h"

namespace duan::inspect {
namespace {

// Head sizes, and whether causal.
using Attentions = std::set<std::pair<int64_t, bool>>;

void add_attentions(const ir::Graph& graph, Attentions& found) {
  for (const ir::Node& node : graph.nodes) {
    if (const auto* attention = std::get_if<ir::Attention>(&node.op)) {
      found.emplace(graph.value(node.inputs[0]).type.dims.at(3).extent, attention->causal);
    }
  }
}

}  // namespace

std::vector<KernelChoice> kernel_choices(const models::Model& model) {
  const ir::Graph& graph = model.graph;
  std::set<DType> weight_dtypes;
  std::set<std::string> integer_products, dequantized;
  for (const ir::Node& node : graph.nodes) {
    if (const auto* linear = std::get_if<ir::Linear>(&node.op)) {
      const ir::WeightInfo& info = graph.weight(linear->weight);
      const Weight stored = model.checkpoint.description(info.name, info.shape);
      const auto* int8 = std::get_if<Int8Channel>(&stored.format);
      if (const auto* dense = std::get_if<Dense>(&stored.format)) {
        weight_dtypes.insert(dense->dtype);
      } else if (int8 != nullptr && int8->input.rounding != InputRounding::none) {
        integer_products.insert(format_name(stored.format));
      } else {
        dequantized.insert(format_name(stored.format));
      }
    }
  }
  Attentions attentions;
  add_attentions(graph, attentions);
  if (model.vision) add_attentions(*model.vision, attentions);

  std::vector<KernelChoice> choices;
  for (const DType weight : weight_dtypes) {
    for (const DType x : {DType::f32, DType::bf16}) {
      choices.push_back({"linear", fmt::format("{} weights, {} activations", dtype_name(weight), dtype_name(x)),
                         kernels::select_linear(weight, x).name, kernels::explain_linear(weight, x)});
    }
  }
  const bool in_floats = !weight_dtypes.empty() || !dequantized.empty();
  if (in_floats && isa_allowed(Isa::avx2)) {
    choices.push_back({"linear_int16", fmt::format("{} rows or more, --compute int16", kernels::kInt16Rows),
                       kernels::select_linear_int16().name, kernels::explain_linear_int16()});
  }
  for (const std::string& format : integer_products) {
    choices.push_back({"linear_int8", format, kernels::select_linear_int8().name, kernels::explain_linear_int8()});
  }
  for (const std::string& format : dequantized) {
    choices.push_back({"dequantize", format, kernels::select_dequantize().name, kernels::explain_dequantize()});
  }
  for (const auto& [head_dim, causal] : attentions) {
    for (const DType kv : {DType::f32, DType::bf16}) {
      choices.push_back(
          {"attention",
           fmt::format("{} cache, head_dim {}{}", dtype_name(kv), head_dim, causal ? "" : ", all rows to all"),
           kernels::select_attention(kv, head_dim, causal).name, kernels::explain_attention(kv, head_dim, causal)});
    }
  }
  choices.push_back({"rows", "norms, rotation, gating, sums", kernels::select_rows().name, kernels::explain_rows()});
  return choices;
}

Json to_json(const std::vector<KernelChoice>& choices) {
  Json list = Json::array();
  for (const KernelChoice& choice : choices) {
    Json rejected = Json::array();
    for (const kernels::Rejection& rejection : choice.rejected) {
      rejected.push_back({{"name", rejection.name}, {"reason", rejection.reason}});
    }
    list.push_back({{"operation", choice.operation},
                    {"operands", choice.operands},
                    {"chosen", choice.chosen},
                    {"rejected", std::move(rejected)}});
  }
  return list;
}

}  // namespace duan::inspect
