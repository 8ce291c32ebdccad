#include "models/model.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "models/registry.h"

namespace duan::models {
namespace {

bool is_read(const ir::Graph& graph, const std::string& name) {
  return std::any_of(graph.weights.begin(), graph.weights.end(),
                     [&](const ir::WeightInfo& weight) { return weight.name == name; });
}

// GPTQ tools give layers without a bias one of zeros. One that is not zero would be left out of the sums.
void check_unread_biases(const Model& model) {
  constexpr std::string_view kBias = ".bias";
  if (!model.config.quantization || !model.config.quantization->is_transposed()) return;
  for (const checkpoint::TensorInfo& tensor : model.checkpoint.tensors()) {
    if (!tensor.name.ends_with(kBias) || is_read(model.graph, tensor.name)) continue;
    if (model.vision && is_read(*model.vision, tensor.name)) continue;
    const std::string module = tensor.name.substr(0, tensor.name.size() - kBias.size());
    if (!is_float(tensor.dtype) || !model.checkpoint.contains(module + ".qweight")) continue;
    const checkpoint::TensorView view = *model.checkpoint.find(tensor.name);
    std::vector<float> values(static_cast<size_t>(*element_count(view.shape)));
    to_float(view.dtype, view.data, static_cast<int64_t>(values.size()), values.data());
    if (std::all_of(values.begin(), values.end(), [](float value) { return value == 0; })) continue;
    throw Error(fmt::format("tensor \"{}\" is not zero, and model_type {} has no bias there", printable(tensor.name),
                            model.config.model_type),
                model.folder.string(), "config.json may belong to another model");
  }
}

}  // namespace

Model Model::open(const std::filesystem::path& folder) {
  checkpoint::ModelConfig config = checkpoint::read_config(folder);
  ir::Graph graph = build_graph(config);
  checkpoint::Checkpoint weights = checkpoint::Checkpoint::open(folder, config.quantization);
  std::optional<ir::Graph> vision = build_vision_graph(config);
  Model model{folder, std::move(config), std::move(weights), std::move(graph), std::move(vision)};
  for (const ir::WeightInfo& weight : model.graph.weights) model.checkpoint.description(weight.name, weight.shape);
  if (model.vision) {
    for (const ir::WeightInfo& weight : model.vision->weights) {
      model.checkpoint.description(weight.name, weight.shape);
    }
  }
  check_unread_biases(model);
  return model;
}

}  // namespace duan::models
