// The architectures duan knows, by the model_type of config.json.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "checkpoint/config.h"
#include "ir/graph.h"

namespace duan::models {

struct Architecture {
  std::string_view model_type;
  ir::Graph (*build)(const checkpoint::ModelConfig& config);
  ir::Graph (*build_vision)(const checkpoint::ModelConfig& config) = nullptr;  // of those that see images
};

std::span<const Architecture> architectures();

// The verified graph of the configuration's model. Inputs as ir/graph.h names them; output: logits
// [batch, tokens, vocab]. Throws Error for a model_type without an architecture or extents that do not fit.
ir::Graph build_graph(const checkpoint::ModelConfig& config);

// That of its vision tower, if it has one. Outputs: image_embeds [batch, tokens, hidden], then deepstack's.
std::optional<ir::Graph> build_vision_graph(const checkpoint::ModelConfig& config);

ir::Graph qwen3(const checkpoint::ModelConfig& config);
ir::Graph qwen2(const checkpoint::ModelConfig& config);
ir::Graph llama(const checkpoint::ModelConfig& config);
ir::Graph qwen3_vl_text(const checkpoint::ModelConfig& config);
ir::Graph qwen3_vl_vision(const checkpoint::ModelConfig& config);

}  // namespace duan::models
