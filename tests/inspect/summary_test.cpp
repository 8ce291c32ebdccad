#include "inspect/summary.h"

#include <gtest/gtest.h>

#include "support/models.h"

namespace duan::inspect {
namespace {

models::Model tiny(const std::string& name) { return models::Model::open(test::data_dir() / "models" / name); }

int64_t parameters_of(const Summary& summary, const std::string& part) {
  for (const Part& p : summary.parts) {
    if (p.name == part) return p.parameters;
  }
  return 0;
}

TEST(Summary, ReadsTheShapesFromTheGraph) {
  for (const auto& folder : test::tiny_models()) {
    const models::Model model = models::Model::open(folder);
    const Summary s = summarize(model);
    const checkpoint::ModelConfig& c = model.config;
    EXPECT_EQ(s.layers, c.num_hidden_layers);
    EXPECT_EQ(s.hidden, c.hidden_size);
    EXPECT_EQ(s.vocab, c.vocab_size);
    EXPECT_EQ(s.heads, c.num_attention_heads);
    EXPECT_EQ(s.kv_heads, c.num_key_value_heads);
    EXPECT_EQ(s.head_dim, c.head_dim);
    EXPECT_EQ(s.intermediate, c.intermediate_size);
    EXPECT_EQ(s.head_tied, c.tie_word_embeddings);
  }
}

TEST(Summary, CountsEveryPartOfATiedModelOnce) {
  const Summary s = summarize(tiny("qwen3-tied"));  // hidden 64, 4 heads of 32 over 2, intermediate 80, 2 layers
  EXPECT_EQ(parameters_of(s, "embedding"), 208 * 64);
  EXPECT_EQ(parameters_of(s, "attention"), 2 * (128 * 64 + 2 * 64 * 64 + 64 * 128));
  EXPECT_EQ(parameters_of(s, "mlp"), 2 * 3 * 80 * 64);
  EXPECT_EQ(parameters_of(s, "norms"), 2 * (2 * 64 + 2 * 32) + 64);
  EXPECT_EQ(parameters_of(s, "head"), 0);
  EXPECT_EQ(s.weight_bytes(), 2 * s.parameters());
  EXPECT_EQ(s.bytes_per_dtype.at("BF16"), s.weight_bytes());
}

TEST(Summary, ListsTensorsThatNoNodeReads) {
  const Summary tied = summarize(tiny("qwen3-tied"));  // stores its head all the same
  ASSERT_EQ(tied.unused.size(), 1u);
  EXPECT_EQ(tied.unused[0].name, "lm_head.weight");
  EXPECT_EQ(tied.unused_bytes(), 208 * 64 * 2);

  const Summary untied = summarize(tiny("qwen3-untied"));
  EXPECT_TRUE(untied.unused.empty());
  EXPECT_EQ(parameters_of(untied, "head"), 208 * 64);
}

TEST(Summary, ItsPartsAreTheWholeModel) {
  for (const auto& folder : test::tiny_models()) {
    const models::Model model = models::Model::open(folder);
    const Summary s = summarize(model);
    EXPECT_EQ(s.weight_bytes() + s.unused_bytes(), static_cast<int64_t>(model.checkpoint.total_bytes())) << folder;
  }
}

TEST(Summary, MemoryGrowsWithTheContext) {
  const models::Model model = tiny("qwen3-tied");
  const Summary s = summarize(model);
  const MemoryNeed need = memory_need(model, s, 1024);
  EXPECT_EQ(need.weights, s.weight_bytes());
  EXPECT_EQ(need.kv_f32, 1024 * 2 * 2 * 2 * 32 * 4);  // positions, layers, keys and values, heads, head_dim, bytes
  EXPECT_EQ(need.kv_bf16 * 2, need.kv_f32);
}

TEST(Summary, JsonSaysTheSame) {
  const models::Model model = tiny("qwen3-yarn");
  const Summary s = summarize(model);
  const Json json = to_json(model, s, memory_need(model, s, 16));
  EXPECT_EQ(json["parameters"], s.parameters());
  EXPECT_EQ(json["parts"]["mlp"]["bytes"], 2 * parameters_of(s, "mlp"));
  EXPECT_EQ(json["rope"], "theta 10000, yarn: factor 4, made for 32 positions");
  EXPECT_EQ(json["memory"]["context"], 16);
}

}  // namespace
}  // namespace duan::inspect
