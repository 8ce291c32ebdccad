// Reads every reference folder: configurations of both spellings, single files and shards.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/config.h"
#include "support/paths.h"

namespace duan::checkpoint {
namespace {

namespace fs = std::filesystem;

// The tensors a dense decoder of this shape must have.
void expect_all_weights(const fs::path& folder) {
  const ModelConfig c = read_config(folder);
  const Checkpoint checkpoint = Checkpoint::open(folder);
  const int64_t q = c.num_attention_heads * c.head_dim, kv = c.num_key_value_heads * c.head_dim;
  const auto expect = [&](const std::string& name, const Shape& shape) {
    const Weight weight = checkpoint.weight(name, shape);
    ASSERT_NE(std::get<Dense>(weight.format).data, nullptr) << name;
    std::vector<float> row(static_cast<size_t>(weight.columns()));
    weight.row_to_float(weight.rows() - 1, row.data());
    for (const float value : row) ASSERT_TRUE(std::abs(value) < 1e3f) << name;
  };
  expect("model.embed_tokens.weight", {c.vocab_size, c.hidden_size});
  expect("model.norm.weight", {c.hidden_size});
  if (!c.tie_word_embeddings) expect("lm_head.weight", {c.vocab_size, c.hidden_size});
  for (int64_t i = 0; i < c.num_hidden_layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i);
    expect(layer + ".input_layernorm.weight", {c.hidden_size});
    expect(layer + ".post_attention_layernorm.weight", {c.hidden_size});
    expect(layer + ".self_attn.q_proj.weight", {q, c.hidden_size});
    expect(layer + ".self_attn.k_proj.weight", {kv, c.hidden_size});
    expect(layer + ".self_attn.v_proj.weight", {kv, c.hidden_size});
    expect(layer + ".self_attn.o_proj.weight", {c.hidden_size, q});
    expect(layer + ".mlp.gate_proj.weight", {c.intermediate_size, c.hidden_size});
    expect(layer + ".mlp.up_proj.weight", {c.intermediate_size, c.hidden_size});
    expect(layer + ".mlp.down_proj.weight", {c.hidden_size, c.intermediate_size});
    if (c.attention_bias) expect(layer + ".self_attn.k_proj.bias", {kv});
    if (c.model_type == "qwen3") expect(layer + ".self_attn.q_norm.weight", {c.head_dim});
  }
}

TEST(Reference, ReadsEveryDenseCheckpoint) {
  DUAN_NEEDS_REFERENCE();
  const fs::path models = *test::reference_dir() / "golden" / "models" / "models";
  for (const char* name : {"qwen3-tied", "qwen3-untied", "qwen3-sharded-fp32", "qwen3-yarn", "qwen2", "llama"}) {
    SCOPED_TRACE(name);
    expect_all_weights(models / name);
    EXPECT_EQ(read_generation_config(models / name).eos_token_ids.size(), 2u);
  }
  expect_all_weights(*test::reference_dir() / "data" / "qwen3-tinychat" / "hf");
  expect_all_weights(*test::reference_dir() / "data" / "stories260K" / "hf");
  expect_all_weights(*test::reference_dir() / "golden" / "awq" / "qwen3_untied_mha" / "src");  // transformers 5
}

TEST(Reference, ReadsEverySafetensorsFileThere) {
  DUAN_NEEDS_REFERENCE();
  int files = 0;
  for (const char* part : {"golden", "data"}) {
    for (const auto& item : fs::recursive_directory_iterator(*test::reference_dir() / part)) {
      if (item.path().extension() != ".safetensors") continue;
      if (item.path().filename() == "awq_trace.safetensors") continue;  // F64, which no checkpoint has
      EXPECT_NO_THROW(SafetensorsFile{item.path()}) << item.path();
      ++files;
    }
  }
  EXPECT_GT(files, 50);
}

TEST(Reference, RefusesTheFoldersThisVersionDoesNotSupport) {
  DUAN_NEEDS_REFERENCE();
  const fs::path golden = *test::reference_dir() / "golden";
  const auto message = [](const fs::path& folder) {
    try {
      read_config(folder);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  EXPECT_NE(message(golden / "models" / "models" / "qwen3-moe").find("qwen3_moe"), std::string::npos);
}

TEST(Reference, ReadsThePublishedConfigurations) {
  DUAN_NEEDS_REFERENCE();
  const fs::path hf = *test::reference_dir() / "golden" / "tokenizer" / "hf";
  for (const char* name : {"Qwen3-VL-2B-Instruct", "Qwen3-VL-4B-Instruct", "Qwen3-VL-8B-Instruct"}) {
    const ModelConfig vl = read_config(hf / name);
    EXPECT_EQ(vl.rope.axes, RopeAxes(InterleavedAxes{{24, 20, 20}}));
    EXPECT_EQ(vl.vision->position_side(), 48);
    EXPECT_EQ(vl.vision->deepstack_visual_indexes.size(), 3u);
    EXPECT_EQ(vl.image_tokens, (ImageTokens{151655, 151656, 151652, 151653}));
    EXPECT_EQ(vl.tie_word_embeddings, vl.hidden_size < 4096) << name;
  }
  const ModelConfig c = read_config(hf / "Qwen3-0.6B");
  EXPECT_EQ(c.hidden_size, 1024);
  EXPECT_EQ(c.num_attention_heads * c.head_dim, 2048);
  EXPECT_EQ(c.rope, (Rope{1e6, DefaultRope{}}));
  EXPECT_TRUE(c.tie_word_embeddings);
  EXPECT_EQ(c.dtype, "bfloat16");
  const GenerationConfig g = read_generation_config(hf / "Qwen3-1.7B");
  EXPECT_EQ(g.eos_token_ids, (std::vector<int64_t>{151645, 151643}));
  EXPECT_EQ(g.top_p, 0.95);
  EXPECT_EQ(g.top_k, 20);
  EXPECT_EQ(g.do_sample, true);
}

}  // namespace
}  // namespace duan::checkpoint
