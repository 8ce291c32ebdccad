// The matrices of a model that can be quantized, and what becomes of each.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "models/model.h"
#include "quant/recipe.h"

namespace duan::quant {

struct Module {
  std::string name;                    // "model.layers.0.self_attn.q_proj"; of a tied table: the embedding's
  std::string weight;                  // its tensor in the source: name + ".weight"
  Shape shape;                         // [out, in]
  DType dtype;                         // of the source's tensor
  bool embedding = false;              // token ids look up its rows
  std::optional<ir::NodeId> linear{};  // the node that multiplies by it; a tied table has both
  std::string kept{};                  // why it is not quantized; empty: it is
  size_t block = 0;                    // where it is multiplied, else looked up: index into Blocks

  bool tied() const { return embedding && linear.has_value(); }
};

// Names of the head: a tied one has no tensors of its own, but transformers calls it so.
inline constexpr const char* kHead = "lm_head";

// The parts a model is worked on in: nodes [first, last) of its graph.
struct Block {
  ir::NodeId first, last;
  std::string name;  // what the names of its weights have in common: "model.layers.0.self_attn"
};
std::vector<Block> find_blocks(const ir::Graph& graph);

// In the order of the graph. Throws Error: the source is quantized already, an expression is malformed or matches no
// module, nothing is left to quantize, or rows do not divide into the recipe's groups and words.
std::vector<Module> find_modules(const models::Model& model, const std::vector<Block>& blocks, const Recipe& recipe);

// The module a node multiplies by; nullptr if there is none.
const Module* module_of(const std::vector<Module>& modules, ir::NodeId linear);

}  // namespace duan::quant
