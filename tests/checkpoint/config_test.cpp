#include "checkpoint/config.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/log.h"
#include "checkpoint/support.h"
#include "support/paths.h"

namespace duan::checkpoint {
namespace {

const char* kSizes =
    R"("vocab_size":100,"hidden_size":64,"intermediate_size":128,"num_hidden_layers":2,"num_attention_heads":4)";

ModelConfig parse(const std::string& more, const std::string& model_type = "qwen3") {
  return parse_config(parse_json("{\"model_type\":\"" + model_type + "\"," + kSizes + more + "}", "config.json"),
                      "config.json");
}

std::vector<std::string> warnings_of(const std::string& more, const std::string& model_type = "qwen3") {
  std::vector<std::string> lines;
  set_warning_sink([&](const std::string& line) { lines.push_back(line); });
  parse(more, model_type);
  set_warning_sink(nullptr);
  return lines;
}

TEST(Config, TakesDefaultsAsTransformersDoes) {
  const ModelConfig qwen3 = parse("");
  EXPECT_EQ(qwen3.num_key_value_heads, 4);
  EXPECT_EQ(qwen3.head_dim, 16);
  EXPECT_EQ(qwen3.rms_norm_eps, 1e-6);
  EXPECT_EQ(qwen3.max_position_embeddings, 32768);
  EXPECT_EQ(qwen3.rope, (Rope{10000, DefaultRope{}}));
  EXPECT_FALSE(qwen3.tie_word_embeddings);
  EXPECT_FALSE(qwen3.attention_bias);
  EXPECT_TRUE(qwen3.eos_token_ids.empty());
  EXPECT_FALSE(qwen3.bos_token_id);
  EXPECT_EQ(qwen3.dtype, "");

  const ModelConfig llama = parse("", "llama");
  EXPECT_EQ(llama.max_position_embeddings, 2048);
  EXPECT_EQ(llama.eos_token_ids, (std::vector<int64_t>{2}));
  EXPECT_EQ(llama.bos_token_id, 1);
  EXPECT_TRUE(parse(",\"eos_token_id\":null", "llama").eos_token_ids.empty());
  EXPECT_TRUE(parse("", "qwen2").attention_bias);
  EXPECT_TRUE(parse(",\"attention_bias\":false", "qwen2").attention_bias);
}

TEST(Config, ReadsBothSpellingsAlike) {
  const ModelConfig old_default = parse(R"(,"rope_theta":1000000,"rope_scaling":null,"torch_dtype":"bfloat16")");
  EXPECT_EQ(old_default, parse(R"(,"rope_parameters":{"rope_type":"default","rope_theta":1e6},"dtype":"bfloat16")"));
  EXPECT_EQ(old_default,
            parse(R"(,"rope_theta":1000000.0,"rope_scaling":{"type":"default"},"dtype":"torch.bfloat16")"));

  const ModelConfig old_yarn = parse(
      R"(,"rope_theta":1000000,"rope_scaling":{"type":"yarn","factor":4.0,"original_max_position_embeddings":32768})");
  EXPECT_EQ(
      old_yarn,
      parse(
          R"(,"rope_theta":1000000,"rope_scaling":{"rope_type":"yarn","factor":4,"original_max_position_embeddings":32768})"));
  EXPECT_EQ(
      old_yarn,
      parse(
          R"(,"rope_parameters":{"rope_type":"yarn","rope_theta":1000000.0,"factor":4.0,"original_max_position_embeddings":32768})"));
  EXPECT_EQ(std::get<YarnRope>(old_yarn.rope.scaling), (YarnRope{4, 32768, 32, 1, 0.1 * std::log(4.0) + 1}));

  const char* scaling =
      R"("factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192)";
  const ModelConfig old_llama3 =
      parse(std::string(R"(,"rope_theta":500000.0,"rope_scaling":{"rope_type":"llama3",)") + scaling + "}", "llama");
  EXPECT_EQ(old_llama3,
            parse(std::string(R"(,"rope_parameters":{"rope_type":"llama3","rope_theta":500000.0,)") + scaling + "}",
                  "llama"));
  EXPECT_EQ(std::get<Llama3Rope>(old_llama3.rope.scaling), (Llama3Rope{8, 1, 4, 8192}));
}

TEST(Config, ReadsTheOptionsOfYarn) {
  const auto yarn = [](const std::string& more) {
    return std::get<YarnRope>(
        parse(R"(,"max_position_embeddings":4096,"rope_scaling":{"type":"yarn",)" + more + "}").rope.scaling);
  };
  EXPECT_EQ(yarn(R"("factor":2)").original_positions, 4096);
  EXPECT_EQ(yarn(R"("factor":1)").attention_factor, 1);
  EXPECT_EQ(yarn(R"("factor":2,"attention_factor":0.5,"beta_fast":16,"beta_slow":2,"truncate":true)"),
            (YarnRope{2, 4096, 16, 2, 0.5}));
  EXPECT_EQ(yarn(R"("factor":2,"attention_factor":null,"beta_fast":null,"beta_slow":0,"mscale":null)").beta_slow, 1);
}

TEST(Config, ReadsTokenIds) {
  EXPECT_EQ(parse(R"(,"eos_token_id":7)").eos_token_ids, (std::vector<int64_t>{7}));
  EXPECT_EQ(parse(R"(,"eos_token_id":[7,3,7])").eos_token_ids, (std::vector<int64_t>{7, 3}));
  EXPECT_EQ(parse(R"(,"bos_token_id":0,"pad_token_id":99)").pad_token_id, 99);
  EXPECT_EQ(parse(R"(,"pad_token_id":-1)").pad_token_id, std::nullopt);
}

TEST(Config, KeepsHeadDimIndependentOfHiddenSize) {
  const ModelConfig c = parse(R"(,"head_dim":128,"num_key_value_heads":2)");
  EXPECT_EQ(c.head_dim, 128);
  EXPECT_EQ(c.num_attention_heads * c.head_dim, 512);
}

TEST(Config, AllowsStatementsThatChangeNothing) {
  EXPECT_TRUE(warnings_of(R"(,"use_sliding_window":false,"sliding_window":4096,"max_window_layers":28,"mlp_bias":false,
      "attention_bias":false,"layer_types":["full_attention","full_attention"],"hidden_act":"silu","partial_rotary_factor":1.0,
      "num_experts":0,"no_rope_layers":[],"quantization_config":null,"use_mrope":false,"pruned_heads":{},"pretraining_tp":1,
      "transformers_version":"4.51.0","use_cache":true,"initializer_range":0.02,"future_switch":false,"future_value":null,
      "auto_map":{},"final_logit_softcapping":null)")
                  .empty());
}

TEST(Config, WarnsOnceAboutWhatItIgnores) {
  const auto unknown = warnings_of(R"(,"wild_new_feature":3)");
  ASSERT_EQ(unknown.size(), 1u);
  EXPECT_EQ(unknown[0], "config.json: unknown key \"wild_new_feature\": 3 is ignored");
  const auto code = warnings_of(R"(,"auto_map":{"AutoModel":"modeling.Model"},"custom_code":true)");
  ASSERT_EQ(code.size(), 2u);
  EXPECT_NE(code[0].find("never run"), std::string::npos);
  EXPECT_EQ(warnings_of(R"(,"sliding_window":4096)", "llama").size(), 1u);
}

TEST(GenerationConfig, ReadsWhatIsThere) {
  const GenerationConfig g = parse_generation_config(
      parse_json(R"({"do_sample":true,"temperature":0.6,"top_k":20,"top_p":0.95,"min_p":0,"repetition_penalty":1.05,
                     "eos_token_id":[5,6],"pad_token_id":6,"max_new_tokens":2048,"transformers_version":"4.51.0"})",
                 "g"),
      "g");
  EXPECT_EQ(g.do_sample, true);
  EXPECT_EQ(g.temperature, 0.6);
  EXPECT_EQ(g.top_k, 20);
  EXPECT_EQ(g.top_p, 0.95);
  EXPECT_EQ(g.min_p, 0.0);
  EXPECT_EQ(g.repetition_penalty, 1.05);
  EXPECT_EQ(g.eos_token_ids, (std::vector<int64_t>{5, 6}));
  EXPECT_EQ(g.pad_token_id, 6);
  EXPECT_EQ(g.max_new_tokens, 2048);
  EXPECT_EQ(parse_generation_config(Json::object(), "g"), GenerationConfig{});
}

TEST(GenerationConfig, FallsBackToConfig) {
  const duan::test::TemporaryDir folder;
  EXPECT_EQ(read_generation_config(folder.path()), GenerationConfig{});
  test::write_bytes(folder.path() / "config.json", R"({"eos_token_id":[1,2],"pad_token_id":3})");
  EXPECT_EQ(read_generation_config(folder.path()).eos_token_ids, (std::vector<int64_t>{1, 2}));
  test::write_bytes(folder.path() / "generation_config.json", R"({"eos_token_id":9,"top_k":1})");
  const GenerationConfig g = read_generation_config(folder.path());
  EXPECT_EQ(g.eos_token_ids, (std::vector<int64_t>{9}));
  EXPECT_EQ(g.pad_token_id, 3);
  EXPECT_EQ(g.top_k, 1);
}

}  // namespace
}  // namespace duan::checkpoint
