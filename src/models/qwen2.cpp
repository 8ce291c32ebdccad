// Qwen2 and Qwen2.5 dense decoders: Qwen3 without q/k norms, with biases on q, k and v.
#include "models/blocks.h"
#include "models/registry.h"

namespace duan::models {
using namespace ir;

Graph qwen2(const ModelConfig& c) {
  Graph g{.name = "qwen2"};
  const Scope model = Scope(g) / "model";
  const Value ids = input(g, "input_ids", DType::i64, {B, T});
  const Value turn = angles(input(g, "position_ids", DType::i64, {B, T}), c.rope, c.head_dim);

  Value x = embed(model / "embed_tokens", ids, c.vocab_size, c.hidden_size);
  for (int i = 0; i < c.num_hidden_layers; ++i) {
    const Scope layer = model / "layers" / i;
    const Value a = rms_norm(layer / "input_layernorm", x, c.rms_norm_eps);
    x = x + rope_attention(layer / "self_attn", c, a, turn, i, /*qkv_bias=*/true);
    x = x + swiglu_mlp(layer / "mlp", c, rms_norm(layer / "post_attention_layernorm", x, c.rms_norm_eps));
  }
  x = rms_norm(model / "norm", x, c.rms_norm_eps);
  output(linear(head_scope(g, c), x, c.vocab_size));
  return g;
}

}  // namespace duan::models
