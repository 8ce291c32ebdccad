#include "models/model.h"

#include "models/registry.h"

namespace duan::models {

Model Model::open(const std::filesystem::path& folder) {
  checkpoint::ModelConfig config = checkpoint::read_config(folder);
  ir::Graph graph = build_graph(config);
  Model model{folder, std::move(config), checkpoint::Checkpoint::open(folder), std::move(graph)};
  for (const ir::WeightInfo& weight : model.graph.weights) model.checkpoint.weight(weight.name, weight.shape);
  return model;
}

}  // namespace duan::models
