// Qwen3 dense decoder. Weight names are the checkpoint's own.
#include "models/blocks.h"
#include "models/registry.h"

namespace duan::models {
using namespace ir;

Graph qwen3(const ModelConfig& c) {
  Graph g{.name = "qwen3"};
  const Scope model = Scope(g) / "model";
  const Value ids = input(g, "input_ids", DType::i64, {B, T});
  const Value turn = angles(input(g, "position_ids", DType::i64, {B, T}), c.rope, c.head_dim);

  Value x = embed(model / "embed_tokens", ids, c.vocab_size, c.hidden_size);
  for (int i = 0; i < c.num_hidden_layers; ++i) {
    const Scope layer = model / "layers" / i;
    x = x + normed_attention(layer / "self_attn", c, rms_norm(layer / "input_layernorm", x, c.rms_norm_eps), turn, i);
    x = x + swiglu_mlp(layer / "mlp", c, rms_norm(layer / "post_attention_layernorm", x, c.rms_norm_eps));
  }
  x = rms_norm(model / "norm", x, c.rms_norm_eps);
  output(linear(head_scope(g, c), x, c.vocab_size));
  return g;
}

}  // namespace duan::models
