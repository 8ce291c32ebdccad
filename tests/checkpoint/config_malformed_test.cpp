// Every malformed or unsupported configuration is refused with one line that names the file and the key.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "checkpoint/config.h"
#include "checkpoint/support.h"
#include "support/paths.h"

namespace duan::checkpoint {
namespace {

// The base config with one key replaced (or added) by `value`, JSON text; an empty value removes the key.
struct Case {
  const char* key;
  const char* value;
  const char* cause;
  const char* model_type = "qwen3";
};

std::string with(const Case& c) {
  Json json = parse_json(R"({"model_type":"qwen3","vocab_size":100,"hidden_size":64,"intermediate_size":128,
      "num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":16,"hidden_act":"silu",
      "max_position_embeddings":4096,"rms_norm_eps":1e-6,"rope_theta":10000,"eos_token_id":1,"tie_word_embeddings":true})",
                         "base");
  json["model_type"] = c.model_type;
  std::string text = to_text(json);
  if (*c.value == '\0') {
    json.erase(c.key);
    return to_text(json);
  }
  json.erase(c.key);
  text = to_text(json);
  text.pop_back();
  return text + ",\"" + c.key + "\":" + c.value + "}";
}

const std::vector<Case> kCases = {
    // Sizes: absent, of another type, out of range, inconsistent.
    {"model_type", "", "\"model_type\" is missing"},
    {"model_type", "3", "expected a string"},
    {"model_type", "\"gpt2\"", "\"gpt2\" is not supported"},
    {"model_type", "\"qwen3_vl\"", "\"text_config\" is not an object"},
    {"model_type", "\"qwen3_moe\"", "\"qwen3_moe\" is not supported"},
    {"vocab_size", "", "\"vocab_size\" is missing"},
    {"hidden_size", "", "\"hidden_size\" is missing"},
    {"intermediate_size", "", "\"intermediate_size\" is missing"},
    {"num_hidden_layers", "", "\"num_hidden_layers\" is missing"},
    {"num_attention_heads", "", "\"num_attention_heads\" is missing"},
    {"vocab_size", "0", "\"vocab_size\" is 0"},
    {"vocab_size", "-5", "\"vocab_size\" is -5"},
    {"vocab_size", "null", "\"vocab_size\" is null"},
    {"vocab_size", "\"100\"", "expected an integer"},
    {"vocab_size", "100.0", "expected an integer"},
    {"vocab_size", "1e400", "number overflow"},
    {"vocab_size", "2147483648", "\"vocab_size\" is 2147483648"},
    {"vocab_size", "9223372036854775808", "expected an integer in range"},
    {"hidden_size", "true", "expected an integer"},
    {"hidden_size", "[64]", "expected an integer"},
    {"num_hidden_layers", "1001", "\"num_hidden_layers\" is 1001"},
    {"num_hidden_layers", "0", "\"num_hidden_layers\" is 0"},
    {"num_key_value_heads", "3", "not a multiple"},
    {"num_key_value_heads", "8", "not a multiple"},
    {"num_key_value_heads", "0", "\"num_key_value_heads\" is 0"},
    {"head_dim", "15", "expected an even number"},
    {"head_dim", "0", "\"head_dim\" is 0"},
    {"head_dim", "2147483646", "\"head_dim\" is 2147483646"},
    {"intermediate_size", "2147483647", ""},  // alone it is fine: 2^31 * 64 fits
    {"max_position_embeddings", "0", "\"max_position_embeddings\" is 0"},
    {"max_position_embeddings", "1.5", "expected an integer"},
    {"rms_norm_eps", "0", "\"rms_norm_eps\" is 0"},
    {"rms_norm_eps", "-1e-6", "\"rms_norm_eps\""},
    {"rms_norm_eps", "2", "\"rms_norm_eps\" is 2"},
    {"rms_norm_eps", "\"1e-6\"", "expected a finite number"},
    {"tie_word_embeddings", "1", "expected true or false"},
    {"architectures", "\"Qwen3ForCausalLM\"", "expected a list of strings"},
    {"architectures", "[1]", "expected a list of strings"},
    {"torch_dtype", "16", "expected a string"},
    // Token ids.
    {"eos_token_id", "-1", "expected a token id"},
    {"eos_token_id", "100", "beyond the vocab_size"},
    {"eos_token_id", "[1,100]", "beyond the vocab_size"},
    {"eos_token_id", "[1,null]", "expected a token id"},
    {"eos_token_id", "[[1]]", "expected a token id"},
    {"eos_token_id", "\"1\"", "expected a token id"},
    {"eos_token_id", "1.0", "expected a token id"},
    {"bos_token_id", "-2", "expected a token id"},
    {"bos_token_id", "[1]", "expected a token id"},
    {"pad_token_id", "4294967296", "expected a token id"},
    {"pad_token_id", "100", "beyond the vocab_size"},
    // Rotary embedding.
    {"rope_theta", "0", "\"rope_theta\" is 0"},
    {"rope_theta", "1", "\"rope_theta\" is 1"},
    {"rope_theta", "-10000", "\"rope_theta\""},
    {"rope_theta", "\"1e6\"", "expected a finite number"},
    {"rope_scaling", "4", "expected an object"},
    {"rope_scaling", "[]", "expected an object"},
    {"rope_scaling", R"({"type":"linear","factor":2})", "\"linear\" is not supported"},
    {"rope_scaling", R"({"type":"dynamic","factor":2})", "\"dynamic\" is not supported"},
    {"rope_scaling", R"({"rope_type":"longrope","short_factor":[1]})", "\"longrope\" is not supported"},
    {"rope_scaling", R"({"rope_type":7})", "expected a string"},
    {"rope_scaling", R"({"rope_type":"yarn","type":"linear","factor":2})", "\"type\" is \"linear\""},
    {"rope_scaling", R"({"rope_type":"default","mrope_section":[24,20,20]})", "\"mrope_section\""},
    {"rope_scaling", R"({"rope_type":"default","factor":2})", "\"factor\": 2 is not supported"},
    {"rope_scaling", R"({"type":"yarn"})", "\"factor\" is missing"},
    {"rope_scaling", R"({"type":"yarn","factor":0.5})", "\"factor\" is 0.5"},
    {"rope_scaling", R"({"type":"yarn","factor":-1})", "\"factor\" is -1"},
    {"rope_scaling", R"({"type":"yarn","factor":2,"truncate":false})", "\"truncate\": false"},
    {"rope_scaling", R"({"type":"yarn","factor":2,"mscale":1.0,"mscale_all_dim":0.5})", "\"mscale\": 1.0"},
    {"rope_scaling", R"({"type":"yarn","factor":2,"attention_factor":0})", "\"attention_factor\" is 0"},
    {"rope_scaling", R"({"type":"yarn","factor":2,"beta_fast":1,"beta_slow":32})", "\"beta_fast\" 1 is not above"},
    {"rope_scaling", R"({"type":"yarn","factor":2,"original_max_position_embeddings":0})",
     "\"original_max_position_embeddings\" is 0"},
    {"rope_scaling", R"({"type":"yarn","factor":2,"surprise":1})", "\"surprise\": 1"},
    {"rope_scaling", R"({"rope_type":"llama3","factor":8})", "\"low_freq_factor\" is missing"},
    {"rope_scaling",
     R"({"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4,"original_max_position_embeddings":64})",
     "is not below"},
    {"rope_scaling",
     R"({"rope_type":"llama3","factor":0,"low_freq_factor":1,"high_freq_factor":4,"original_max_position_embeddings":64})",
     "\"factor\" is 0"},
    {"rope_parameters", R"({"rope_type":"default","rope_theta":5e6})", "given as 10000 and as 5000000"},
    {"rope_parameters", R"({"full_attention":{"rope_type":"default"}})", "\"full_attention\""},
    {"rope_parameters", R"({"rope_type":"default","partial_rotary_factor":0.5})", "\"partial_rotary_factor\": 0.5"},
    // Statements about mathematics.
    {"use_sliding_window", "true", "\"use_sliding_window\": true is not supported"},
    {"layer_types", R"(["full_attention","sliding_attention"])", "\"layer_types\""},
    {"layer_types", R"("full_attention")", "\"layer_types\""},
    {"hidden_act", "\"gelu\"", "\"hidden_act\": \"gelu\""},
    {"hidden_act", "7", "\"hidden_act\": 7"},
    {"attention_bias", "true", "\"attention_bias\": true"},
    {"attention_bias", "true", "\"attention_bias\": true", "llama"},
    {"mlp_bias", "true", "\"mlp_bias\": true", "llama"},
    {"partial_rotary_factor", "0.5", "\"partial_rotary_factor\": 0.5"},
    {"final_logit_softcapping", "30.0", "\"final_logit_softcapping\""},
    {"attn_logit_softcapping", "50.0", "\"attn_logit_softcapping\""},
    {"logit_scale", "0.0625", "\"logit_scale\""},
    {"embedding_multiplier", "12.0", "\"embedding_multiplier\""},
    {"residual_multiplier", "0.22", "\"residual_multiplier\""},
    {"attention_multiplier", "0.015625", "\"attention_multiplier\""},
    {"query_pre_attn_scalar", "256", "\"query_pre_attn_scalar\""},
    {"no_rope_layers", "[1,1,1,0]", "\"no_rope_layers\""},
    {"num_experts", "8", "\"num_experts\": 8 (experts)"},
    {"num_local_experts", "8", "\"num_local_experts\": 8"},
    {"use_qk_norm", "true", "\"use_qk_norm\""},
    {"original_max_position_embeddings", "4096", "outside of rope_scaling"},
    {"quantization_config", R"({"quant_method":"fp8","bits":8})", "quant_method \"fp8\""},
    {"quantization_config", "{}", "quant_method \"\""},
    {"compression_config", R"({"quant_method":"compressed-tensors"})", "older spelling"},
};

TEST(ConfigMalformed, RefusesEveryConfigOfTheTable) {
  const duan::test::TemporaryDir folder;
  const auto file = folder.path() / "config.json";
  for (const Case& c : kCases) {
    test::write_bytes(file, with(c));
    const std::string what = test::error_of([&] { read_config(folder.path()); });
    if (*c.cause == '\0') {
      EXPECT_EQ(what, "") << c.key << ": " << c.value;
    } else {
      EXPECT_TRUE(test::is_good_message(what, file.string(), c.cause)) << c.key << ": " << c.value << " gave: " << what;
    }
  }
  EXPECT_GE(kCases.size(), 45u);
}

TEST(ConfigMalformed, RefusesWhatIsNotAConfig) {
  const duan::test::TemporaryDir folder;
  const auto file = folder.path() / "config.json";
  EXPECT_TRUE(
      test::is_good_message(test::error_of([&] { read_config(folder.path()); }), file.string(), "no such file"));
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "not valid JSON"},
      {"null", "not a JSON object"},
      {"[]", "not a JSON object"},
      {"\"qwen3\"", "not a JSON object"},
      {"{\"model_type\":\"qwen3\",\"model_type\":\"llama\"}", "duplicate key"},
      {"{\"model_type\":\"qwen3\"", "not valid JSON"},
      {"{\"model_type\":\"qwen3\"} x", "not valid JSON"},
      {"{\"model_type\":\"a\nb\"}", "not valid JSON"},
      {"{\"model_type\":\"a\\nb\\u0000\"}", "a\\x0ab\\x00"},
      {"{\"x\":" + std::string(200, '[') + std::string(200, ']') + "}", "nested deeper"},
      {std::string((4u << 20) + 1, ' '), "larger than"},
  };
  for (const auto& [text, cause] : cases) {
    test::write_bytes(file, text);
    const std::string what = test::error_of([&] { read_config(folder.path()); });
    EXPECT_TRUE(test::is_good_message(what, file.string(), cause)) << cause << ": " << what;
  }
}

TEST(ConfigMalformed, NamesTheSupportedModelTypes) {
  try {
    parse_config(parse_json(R"({"model_type":"mamba"})", "c"), "c");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.hint(), "supported: qwen3, qwen3_vl, qwen2, llama");
  }
}

TEST(ConfigMalformed, RefusesProductsThatAreTooLarge) {
  const auto what = [](const std::string& sizes) {
    return test::error_of([&] { parse_config(parse_json("{\"model_type\":\"qwen3\"," + sizes + "}", "c"), "c"); });
  };
  EXPECT_NE(
      what(
          R"("vocab_size":2147483647,"hidden_size":2147483646,"intermediate_size":1,"num_hidden_layers":1,"num_attention_heads":2,"head_dim":2)")
          .find("vocab_size x hidden_size"),
      std::string::npos);
  EXPECT_NE(
      what(
          R"("vocab_size":1,"hidden_size":2147483646,"intermediate_size":2147483647,"num_hidden_layers":1,"num_attention_heads":2,"head_dim":2)")
          .find("intermediate_size x hidden_size"),
      std::string::npos);
  EXPECT_NE(
      what(R"("vocab_size":1,"hidden_size":10,"intermediate_size":1,"num_hidden_layers":1,"num_attention_heads":3)")
          .find("\"head_dim\" is missing"),
      std::string::npos);
}

TEST(GenerationConfigMalformed, RefusesEveryConfigOfTheTable) {
  const duan::test::TemporaryDir folder;
  const auto file = folder.path() / "generation_config.json";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"[]", "not a JSON object"},
      {"{\"do_sample\":1}", "\"do_sample\" is 1"},
      {"{\"temperature\":-0.1}", "\"temperature\" is -0.1"},
      {"{\"temperature\":\"hot\"}", "expected a finite number"},
      {"{\"temperature\":1e999}", "number overflow"},
      {"{\"temperature\":101}", "\"temperature\" is 101"},
      {"{\"top_k\":-1}", "\"top_k\" is -1"},
      {"{\"top_k\":2.5}", "expected an integer"},
      {"{\"top_p\":1.1}", "\"top_p\" is 1.1"},
      {"{\"top_p\":-0.5}", "\"top_p\" is -0.5"},
      {"{\"min_p\":2}", "\"min_p\" is 2"},
      {"{\"repetition_penalty\":0}", "\"repetition_penalty\" is 0"},
      {"{\"repetition_penalty\":-1}", "\"repetition_penalty\" is -1"},
      {"{\"max_new_tokens\":0}", "\"max_new_tokens\" is 0"},
      {"{\"max_new_tokens\":99999999999}", "\"max_new_tokens\" is 99999999999"},
      {"{\"eos_token_id\":-2}", "expected a token id"},
      {"{\"eos_token_id\":{}}", "expected a token id"},
      {"{\"pad_token_id\":true}", "expected a token id"},
      {"{\"num_beams\":0}", "\"num_beams\" is 0"},
  };
  for (const auto& [text, cause] : cases) {
    test::write_bytes(file, text);
    const std::string what = test::error_of([&] { read_generation_config(folder.path()); });
    EXPECT_TRUE(test::is_good_message(what, file.string(), cause)) << text << ": " << what;
  }
}

}  // namespace
}  // namespace duan::checkpoint
