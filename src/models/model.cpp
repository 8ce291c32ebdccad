#include "models/model.h"

#include "models/registry.h"

namespace duan::models {

Model Model::open(const std::filesystem::path& folder) {
  checkpoint::ModelConfig config = checkpoint::read_config(folder);
  ir::Graph graph = build_graph(config);
  checkpoint::Checkpoint weights = checkpoint::Checkpoint::open(folder, config.quantization);
  std::optional<ir::Graph> vision = build_vision_graph(config);
  Model model{folder, std::move(config), std::move(weights), std::move(graph), std::move(vision)};
  for (const ir::WeightInfo& weight : model.graph.weights) model.checkpoint.weight(weight.name, weight.shape);
  if (model.vision) {
    for (const ir::WeightInfo& weight : model.vision->weights) model.checkpoint.weight(weight.name, weight.shape);
  }
  return model;
}

}  // namespace duan::models
