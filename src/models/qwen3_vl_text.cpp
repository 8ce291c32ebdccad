// Qwen3-VL's decoder: Qwen3 with three coordinates a position, rows of images in place of embeddings, and further rows
// of them added after the first layers (deepstack).
#include "models/blocks.h"
#include "models/registry.h"

namespace duan::models {
using namespace ir;

Graph qwen3_vl_text(const ModelConfig& c) {
  Graph g{.name = "qwen3_vl_text"};
  const Scope model = Scope(g) / "model" / "language_model";
  const Value ids = input(g, std::string(kInputIds), DType::i64, {B, T});
  const Value turn = angles(input(g, std::string(kPositionIds), DType::i64, {B, T, 3}), c.rope, c.head_dim);
  const Value mask = input(g, std::string(kImageMask), DType::i64, {B, T});
  const Value images = input(g, std::string(kImageEmbeds), DType::f32, {B, T, c.hidden_size});

  Value x = put_rows(embed(model / "embed_tokens", ids, c.vocab_size, c.hidden_size), images, mask);
  for (int i = 0; i < c.num_hidden_layers; ++i) {
    const Scope layer = model / "layers" / i;
    x = x + normed_attention(layer / "self_attn", c, rms_norm(layer / "input_layernorm", x, c.rms_norm_eps), turn, i);
    x = x + swiglu_mlp(layer / "mlp", c, rms_norm(layer / "post_attention_layernorm", x, c.rms_norm_eps));
    if (i < static_cast<int>(c.vision->deepstack_visual_indexes.size())) {
      x = x + input(g, std::string(kDeepstackEmbeds) + std::to_string(i), DType::f32, {B, T, c.hidden_size});
    }
  }
  x = rms_norm(model / "norm", x, c.rms_norm_eps);
  const Scope head = c.tie_word_embeddings ? model / "embed_tokens" : Scope(g) / "lm_head";
  output(linear(head, x, c.vocab_size));
  return g;
}

}  // namespace duan::models
