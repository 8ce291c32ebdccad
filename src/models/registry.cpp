#include "models/registry.h"

#include <array>

#include "base/error.h"

namespace duan::models {
namespace {
constexpr std::array kArchitectures{Architecture{"qwen3", qwen3}, Architecture{"qwen2", qwen2},
                                    Architecture{"llama", llama}};
}

std::span<const Architecture> architectures() { return kArchitectures; }

ir::Graph build_graph(const checkpoint::ModelConfig& config) {
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.model_type != config.model_type) continue;
    ir::Graph graph = architecture.build(config);
    ir::verify(graph);
    return graph;
  }
  std::string known;
  for (const Architecture& architecture : kArchitectures) {
    known += (known.empty() ? "" : ", ") + std::string(architecture.model_type);
  }
  throw Error(fmt::format("model_type \"{}\" is not supported, only {}", printable(config.model_type), known));
}

}  // namespace duan::models
