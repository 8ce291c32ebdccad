#include "models/blocks.h"

namespace duan::models {
using namespace ir;

Value swiglu_mlp(Scope s, const ModelConfig& c, Value x) {
  const Value gate = silu(linear(s / "gate_proj", x, c.intermediate_size));
  const Value up = linear(s / "up_proj", x, c.intermediate_size);
  return linear(s / "down_proj", gate * up, c.hidden_size);
}

Value rope_attention(Scope s, const ModelConfig& c, Value x, Value turn, int layer, bool qkv_bias) {
  Value q = split_heads(linear(s / "q_proj", x, c.num_attention_heads * c.head_dim, qkv_bias), c.num_attention_heads);
  Value k = split_heads(linear(s / "k_proj", x, c.num_key_value_heads * c.head_dim, qkv_bias), c.num_key_value_heads);
  Value v = split_heads(linear(s / "v_proj", x, c.num_key_value_heads * c.head_dim, qkv_bias), c.num_key_value_heads);
  q = rope(q, turn);
  k = rope(k, turn);
  return linear(s / "o_proj", attention(q, k, v, /*cache=*/layer), c.hidden_size);
}

Value normed_attention(Scope s, const ModelConfig& c, Value x, Value turn, int layer) {
  Value q = split_heads(linear(s / "q_proj", x, c.num_attention_heads * c.head_dim), c.num_attention_heads);
  Value k = split_heads(linear(s / "k_proj", x, c.num_key_value_heads * c.head_dim), c.num_key_value_heads);
  Value v = split_heads(linear(s / "v_proj", x, c.num_key_value_heads * c.head_dim), c.num_key_value_heads);
  q = rope(rms_norm(s / "q_norm", q, c.rms_norm_eps), turn);
  k = rope(rms_norm(s / "k_norm", k, c.rms_norm_eps), turn);
  return linear(s / "o_proj", attention(q, k, v, /*cache=*/layer), c.hidden_size);
}

Scope head_scope(Graph& graph, const ModelConfig& c) {
  return c.tie_word_embeddings ? Scope(graph) / "model" / "embed_tokens" : Scope(graph) / "lm_head";
}

}  // namespace duan::models
