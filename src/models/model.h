// A model folder, opened: configuration, weights and graph.
#pragma once

#include <filesystem>
#include <optional>

#include "checkpoint/checkpoint.h"
#include "checkpoint/config.h"
#include "ir/graph.h"

namespace duan::models {

struct Model {
  std::filesystem::path folder;
  checkpoint::ModelConfig config;
  checkpoint::Checkpoint checkpoint;
  ir::Graph graph;
  std::optional<ir::Graph> vision{};  // its tower, if it sees images

  // Reads config.json and the safetensors header(s), builds the graph and checks that every weight it names is there
  // with the right shape. Weights stay mapped. Throws Error.
  static Model open(const std::filesystem::path& folder);
};

}  // namespace duan::models
