// Qwen3-VL's vision tower over the patches of one image, in block-major order: rows for the decoder's image tokens, and
// from some of its blocks the rows that deepstack adds.
#include "models/blocks.h"
#include "models/registry.h"

namespace duan::models {
using namespace ir;
namespace {

constexpr double kEps = 1e-6;

Value self_attention(Scope s, const checkpoint::VisionConfig& v, Value x, Value turn) {
  const int64_t h = v.hidden_size;
  const Value qkv = linear(s / "qkv", x, 3 * h, /*bias=*/true);
  const Value q = rope(split_heads(slice(qkv, 0, h, "q"), v.num_heads), turn);
  const Value k = rope(split_heads(slice(qkv, h, h, "k"), v.num_heads), turn);
  const Value values = split_heads(slice(qkv, 2 * h, h, "v"), v.num_heads);
  return linear(s / "proj", full_attention(q, k, values), h, /*bias=*/true);
}

Value mlp(Scope s, Value x, int64_t inner, int64_t out, GeluForm form) {
  return linear(s / "linear_fc2", gelu(linear(s / "linear_fc1", x, inner, true), form), out, true);
}

}  // namespace

Graph qwen3_vl_vision(const ModelConfig& c) {
  const checkpoint::VisionConfig& v = *c.vision;
  const int64_t h = v.hidden_size, merged = v.merged_patches() * h, patch = v.patch_size;
  Graph g{.name = "qwen3_vl_vision"};
  const Scope visual = Scope(g) / "model" / "visual";
  const Value pixels = input(g, std::string(kPixelValues), DType::f32, {B, P, v.patch_values()});
  const Value rows = input(g, std::string(kTableRows), DType::i64, {B, P, 4});
  const Value shares = input(g, std::string(kTableShares), DType::f32, {B, P, 4});
  const duan::Rope halves{.theta = 10000, .scaling = DefaultRope{}, .axes = HalvedAxes{}};
  const Value turn = angles(input(g, std::string(kPatchPositions), DType::i64, {B, P, 2}), halves, v.head_dim());

  const Shape kernel{h, v.in_channels, v.temporal_patch_size, patch, patch};
  Value x = linear(visual / "patch_embed" / "proj", pixels, kernel, /*bias=*/true);
  x = x + blend_rows(visual / "pos_embed", rows, shares, v.num_position_embeddings, h);
  std::vector<Value> deepstack;
  for (int i = 0; i < v.depth; ++i) {
    const Scope block = visual / "blocks" / i;
    x = x + self_attention(block / "attn", v, layer_norm(block / "norm1", x, kEps), turn);
    x = x + mlp(block / "mlp", layer_norm(block / "norm2", x, kEps), v.intermediate_size, h, GeluForm::tanh);
    const auto level = static_cast<int>(deepstack.size());
    if (level >= static_cast<int>(v.deepstack_visual_indexes.size()) || v.deepstack_visual_indexes[level] != i)
      continue;
    const Scope merger = visual / "deepstack_merger_list" / level;
    const Value norm = layer_norm(merger / "norm", merge_rows(x, v.merged_patches()), kEps);  // over the merged row
    deepstack.push_back(mlp(merger, norm, merged, v.out_hidden_size, GeluForm::erf));
  }
  const Value norm = merge_rows(layer_norm(visual / "merger" / "norm", x, kEps), v.merged_patches());  // over a patch
  output(mlp(visual / "merger", norm, merged, v.out_hidden_size, GeluForm::erf));
  for (const Value& level : deepstack) output(level);
  return g;
}

}  // namespace duan::models
