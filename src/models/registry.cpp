#include "models/registry.h"

#include <array>

#include "base/error.h"

namespace duan::models {
namespace {

constexpr std::array kArchitectures{Architecture{"qwen3", qwen3}, Architecture{"qwen2", qwen2},
                                    Architecture{"llama", llama},
                                    Architecture{"qwen3_vl", qwen3_vl_text, qwen3_vl_vision}};

const Architecture& architecture_of(const checkpoint::ModelConfig& config) {
  std::string known;
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.model_type == config.model_type) return architecture;
    known += (known.empty() ? "" : ", ") + std::string(architecture.model_type);
  }
  throw Error(fmt::format("model_type \"{}\" is not supported, only {}", printable(config.model_type), known));
}

}  // namespace

std::span<const Architecture> architectures() { return kArchitectures; }

ir::Graph build_graph(const checkpoint::ModelConfig& config) {
  ir::Graph graph = architecture_of(config).build(config);
  ir::verify(graph);
  return graph;
}

std::optional<ir::Graph> build_vision_graph(const checkpoint::ModelConfig& config) {
  const Architecture& architecture = architecture_of(config);
  if (architecture.build_vision == nullptr) return std::nullopt;
  ir::Graph graph = architecture.build_vision(config);
  ir::verify(graph);
  return graph;
}

}  // namespace duan::models
