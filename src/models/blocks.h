// Pieces that more than one architecture uses as they are.
#pragma once

#include "checkpoint/config.h"
#include "ir/builder.h"

namespace duan::models {

using checkpoint::ModelConfig;

// down(silu(gate x) * (up x)).
ir::Value swiglu_mlp(ir::Scope scope, const ModelConfig& config, ir::Value x);

// Grouped-query attention without normalisation of q and k; qwen2 has biases on q, k and v, llama none.
ir::Value rope_attention(ir::Scope scope, const ModelConfig& config, ir::Value x, ir::Value turn, int layer,
                         bool qkv_bias);

// The same with q and k normalised per head before rotation: qwen3 and qwen3_vl.
ir::Value normed_attention(ir::Scope scope, const ModelConfig& config, ir::Value x, ir::Value turn, int layer);

// The matrix that turns hidden states into logits: the embedding itself when they are tied.
ir::Scope head_scope(ir::Graph& graph, const ModelConfig& config);

}  // namespace duan::models
