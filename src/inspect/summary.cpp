#include "inspect/summary.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <utility>

#include "engine/kv_cache.h"

namespace duan::inspect {
namespace {

constexpr const char* kParts[] = {"embedding", "attention", "mlp", "norms", "head", "vision"};

bool is_matrix_product(const ir::Op& op) { return std::holds_alternative<ir::Linear>(op); }
bool is_attention(const ir::Op& op) { return std::holds_alternative<ir::Attention>(op); }

// Linear nodes that feed an Attention or read its result, with no other Linear between.
std::set<ir::NodeId> attention_projections(const ir::Graph& graph) {
  std::set<ir::NodeId> found;
  std::vector<bool> from_attention(graph.values.size(), false);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const ir::Node& node = graph.nodes[i];
    // Reshape alone: a residual sum carries attention's result to every later node.
    const bool passes = std::holds_alternative<ir::Reshape>(node.op) || is_matrix_product(node.op);
    const bool reads = passes && from_attention[static_cast<size_t>(node.inputs[0])];
    if (reads && is_matrix_product(node.op)) found.insert(static_cast<ir::NodeId>(i));
    from_attention[static_cast<size_t>(node.output)] = is_attention(node.op) || (reads && !is_matrix_product(node.op));

    if (!is_attention(node.op)) continue;
    for (ir::ValueId value : node.inputs) {  // back from q, k and v, along first operands
      ir::NodeId at = graph.value(value).producer;
      while (at >= 0 && !is_matrix_product(graph.node(at).op)) {
        at = graph.node(at).inputs.empty() ? -1 : graph.value(graph.node(at).inputs[0]).producer;
      }
      if (at >= 0) found.insert(at);
    }
  }
  return found;
}

std::string part_of(const ir::Graph& graph, ir::NodeId id, const std::set<ir::NodeId>& projections) {
  const ir::Node& node = graph.node(id);
  if (std::holds_alternative<ir::Embed>(node.op)) return "embedding";
  if (std::holds_alternative<ir::RmsNorm>(node.op)) return "norms";
  if (std::find(graph.outputs.begin(), graph.outputs.end(), node.output) != graph.outputs.end()) return "head";
  return projections.contains(id) ? "attention" : "mlp";
}

}  // namespace

int64_t Summary::parameters() const {
  int64_t sum = 0;
  for (const Part& part : parts) sum += part.parameters;
  return sum;
}

int64_t Summary::weight_bytes() const {
  int64_t sum = 0;
  for (const Part& part : parts) sum += part.bytes;
  return sum;
}

int64_t Summary::unused_bytes() const {
  int64_t sum = 0;
  for (const checkpoint::TensorInfo& tensor : unused) sum += static_cast<int64_t>(tensor.bytes);
  return sum;
}

Summary summarize(const models::Model& model) {
  const ir::Graph& graph = model.graph;
  Summary summary;
  std::map<std::string, Part> parts;
  std::map<std::string, std::string> part_of_weight;
  const std::set<ir::NodeId> projections = attention_projections(graph);

  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const ir::Node& node = graph.nodes[i];
    const auto id = static_cast<ir::NodeId>(i);
    const int64_t width = ir::width(graph.value(node.output).type);
    if (std::holds_alternative<ir::Embed>(node.op)) summary.hidden = width;
    if (is_attention(node.op) && summary.layers++ == 0) {
      const ir::Dims& q = graph.value(node.inputs[0]).type.dims;
      const ir::Dims& k = graph.value(node.inputs[1]).type.dims;
      summary.heads = q.at(2).extent, summary.head_dim = q.at(3).extent, summary.kv_heads = k.at(2).extent;
    }
    const std::vector<ir::WeightId> weights = ir::weights_of(node.op);
    if (weights.empty()) continue;
    const std::string part = part_of(graph, id, projections);
    const ir::ValueInfo& operand = graph.value(node.inputs[0]);
    const bool after_norm =
        operand.producer >= 0 && std::holds_alternative<ir::RmsNorm>(graph.node(operand.producer).op);
    if (part == "mlp" && !after_norm) summary.intermediate = std::max(summary.intermediate, ir::width(operand.type));
    for (const ir::WeightId weight_id : weights) {
      const ir::WeightInfo& info = graph.weight(weight_id);
      const auto [at, is_new] = part_of_weight.emplace(info.name, part);
      if (!is_new) {
        summary.head_tied = summary.head_tied || (part == "head" && at->second == "embedding");
        continue;
      }
      const Weight stored = model.checkpoint.description(info.name, info.shape);
      parts[part].parameters += *element_count(info.shape);
      parts[part].bytes += static_cast<int64_t>(stored.bytes());
      summary.bytes_per_dtype[format_name(stored.format)] += static_cast<int64_t>(stored.bytes());
    }
  }
  for (const ir::WeightInfo& info : model.vision ? model.vision->weights : std::vector<ir::WeightInfo>{}) {
    part_of_weight.emplace(info.name, "vision");
    const Weight stored = model.checkpoint.description(info.name, info.shape);
    parts["vision"].parameters += *element_count(info.shape);
    parts["vision"].bytes += static_cast<int64_t>(stored.bytes());
    summary.bytes_per_dtype[format_name(stored.format)] += static_cast<int64_t>(stored.bytes());
  }
  summary.vocab = ir::width(graph.value(graph.outputs.at(0)).type);
  for (const char* name : kParts) {
    if (!parts.contains(name)) continue;
    parts[name].name = name;
    summary.parts.push_back(parts[name]);
  }
  std::set<std::string> used;
  for (const auto& [name, part] : part_of_weight) {
    for (const checkpoint::TensorInfo& tensor : model.checkpoint.tensors_of(name)) used.insert(tensor.name);
  }
  for (checkpoint::TensorInfo& tensor : model.checkpoint.tensors()) {
    if (!used.contains(tensor.name)) summary.unused.push_back(std::move(tensor));
  }
  return summary;
}

MemoryNeed memory_need(const models::Model& model, const Summary& summary, int64_t context) {
  return {.context = context,
          .weights = summary.weight_bytes(),
          .kv_f32 = engine::KvCache::bytes_for(model.graph, context, DType::f32),
          .kv_bf16 = engine::KvCache::bytes_for(model.graph, context, DType::bf16)};
}

std::string rope_text(const Rope& rope) {
  struct Scaling {
    std::string operator()(const DefaultRope&) const { return ""; }
    std::string operator()(const YarnRope& s) const {
      return fmt::format(", yarn: factor {}, made for {} positions", s.factor, s.original_positions);
    }
    std::string operator()(const Llama3Rope& s) const {
      return fmt::format(", llama3: factor {}, made for {} positions", s.factor, s.original_positions);
    }
  };
  const auto* interleaved = std::get_if<InterleavedAxes>(&rope.axes);
  const std::string axes =
      interleaved == nullptr ? "" : fmt::format(", pairs by t, h, w: {}", fmt::join(interleaved->sections, ", "));
  return fmt::format("theta {}{}{}", rope.theta, std::visit(Scaling{}, rope.scaling), axes);
}

Json to_json(const models::Model& model, const Summary& summary, const MemoryNeed& memory) {
  const checkpoint::ModelConfig& config = model.config;
  Json parts = Json::object();
  for (const Part& part : summary.parts) parts[part.name] = {{"parameters", part.parameters}, {"bytes", part.bytes}};
  Json vision;
  if (const auto& v = config.vision) {
    vision = {{"blocks", v->depth},
              {"hidden", v->hidden_size},
              {"intermediate", v->intermediate_size},
              {"heads", v->num_heads},
              {"head_dim", v->head_dim()},
              {"patch_size", v->patch_size},
              {"spatial_merge_size", v->spatial_merge_size},
              {"deepstack_visual_indexes", v->deepstack_visual_indexes}};
  }
  Json unused = Json::array();
  for (const checkpoint::TensorInfo& tensor : summary.unused) {
    unused.push_back({{"name", tensor.name}, {"bytes", tensor.bytes}});
  }
  return {{"folder", model.folder.string()},
          {"model_type", config.model_type},
          {"architectures", config.architectures},
          {"layers", summary.layers},
          {"hidden", summary.hidden},
          {"heads", summary.heads},
          {"kv_heads", summary.kv_heads},
          {"head_dim", summary.head_dim},
          {"intermediate", summary.intermediate},
          {"vocab", summary.vocab},
          {"head_tied", summary.head_tied},
          {"max_positions", config.max_position_embeddings},
          {"rope", rope_text(config.rope)},
          {"eos_token_ids", config.eos_token_ids},
          {"vision", std::move(vision)},
          {"parameters", summary.parameters()},
          {"weight_bytes", summary.weight_bytes()},
          {"parts", std::move(parts)},
          {"bytes_per_dtype", summary.bytes_per_dtype},
          {"unused", std::move(unused)},
          {"unused_bytes", summary.unused_bytes()},
          {"memory",
           {{"context", memory.context},
            {"weights", memory.weights},
            {"kv_f32", memory.kv_f32},
            {"kv_bf16", memory.kv_bf16}}}};
}

}  // namespace duan::inspect
