#include "ort/model_folder.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/json.h"
#include "ort/onnx_folders.h"

namespace duan::ort {
namespace {
namespace fs = std::filesystem;

fs::path tiny() { return test::data_dir() / "models" / "qwen3-tied"; }

// What ONNX Runtime GenAI's builder writes of Qwen3, without what we do not read.
Json genai_config() {
  return parse_json(R"({
    "model": {"type": "qwen3", "bos_token_id": 1, "eos_token_id": [7, 9], "pad_token_id": 3, "context_length": 512,
              "vocab_size": 300,
              "decoder": {"filename": "decoder.onnx", "head_size": 32, "hidden_size": 64, "num_attention_heads": 4,
                          "num_hidden_layers": 2, "num_key_value_heads": 2,
                          "inputs": {"input_ids": "ids", "attention_mask": "attention_mask",
                                     "past_key_names": "past.%d.k", "past_value_names": "past.%d.v"},
                          "outputs": {"logits": "logits", "present_key_names": "present.%d.key",
                                      "present_value_names": "present.%d.value"}}},
    "search": {"do_sample": true, "temperature": 0.6, "top_k": 20, "top_p": 0.95, "repetition_penalty": 1.0,
               "num_beams": 1, "max_length": 512, "past_present_share_buffer": true}})",
                    "genai_config.json");
}

void write(const fs::path& folder, const Json& json) { std::ofstream(folder / "genai_config.json") << to_text(json); }

TEST(ModelFolder, ReadsWhatExportWrites) {
  const test::TemporaryDir dir;
  const models::Model model = models::Model::open(tiny());
  for (const bool kv_cache : {true, false}) {
    onnx::Options options = test::export_options(onnx::Dialect::ort, kv_cache);
    options.context = 100;
    const fs::path out = test::export_to(dir, tiny(), options);
    ASSERT_TRUE(holds_onnx_model(out));
    const ModelFolder folder = ModelFolder::open(out);
    EXPECT_EQ(folder.file, out / "model.onnx");
    EXPECT_EQ(folder.vocab_size, model.config.vocab_size);
    // Without a cache there is no genai_config.json that would say it.
    EXPECT_EQ(folder.context, kv_cache ? 100 : model.config.max_position_embeddings);
    EXPECT_EQ(folder.kv_heads, model.config.num_key_value_heads);
    EXPECT_EQ(folder.head_dim, model.config.head_dim);
    EXPECT_EQ(read_generation_config(out), checkpoint::read_generation_config(tiny()));
  }
}

TEST(ModelFolder, ReadsWhatGenAiWrites) {
  const test::TemporaryDir dir;
  write(dir.path(), genai_config());
  const ModelFolder folder = ModelFolder::open(dir.path());
  EXPECT_EQ(folder.file, dir.path() / "decoder.onnx");
  EXPECT_EQ(folder.vocab_size, 300);
  EXPECT_EQ(folder.context, 512);
  EXPECT_EQ(folder.kv_heads, 2);
  EXPECT_EQ(folder.head_dim, 32);
  EXPECT_EQ(folder.names.input_ids, "ids");
  EXPECT_EQ(folder.names.position_ids, "position_ids");
  EXPECT_EQ(layer_name(folder.names.past_value, 12), "past.12.v");
  const checkpoint::GenerationConfig advice = read_generation_config(dir.path());
  EXPECT_EQ(advice.eos_token_ids, (std::vector<int64_t>{7, 9}));
  EXPECT_EQ(advice.pad_token_id, 3);
  EXPECT_EQ(advice.do_sample, true);
  EXPECT_EQ(advice.top_k, 20);
  EXPECT_EQ(advice.temperature, 0.6);
}

TEST(ModelFolder, RefusesConfigurationsWithTheKeyNamed) {
  struct Case {
    std::string at;  // a JSON pointer
    Json value;      // null: taken away
    std::string named;
  };
  const std::vector<Case> cases = {
      {"/model", {}, "\"model\""},
      {"/model/decoder", {}, "\"decoder\""},
      {"/model/decoder/filename", {}, "filename"},
      {"/model/decoder/filename", "../model.onnx", "filename"},
      {"/model/decoder/filename", "/etc/passwd", "filename"},
      {"/model/decoder/filename", "..", "filename"},
      {"/model/decoder/filename", "", "filename"},
      {"/model/vocab_size", {}, "vocab_size"},
      {"/model/vocab_size", 0, "vocab_size"},
      {"/model/vocab_size", int64_t{1} << 40, "vocab_size"},
      {"/model/context_length", -1, "context_length"},
      {"/model/context_length", "512", "context_length"},
      {"/model/decoder/head_size", 0, "head_size"},
      {"/model/decoder/num_key_value_heads", 1 << 30, "num_key_value_heads"},
      {"/model/decoder/inputs", {}, "\"inputs\""},
      {"/model/decoder/inputs/input_ids", 5, "input_ids"},
      {"/model/decoder/inputs/past_key_names", "past.key", "past_key_names"},
      {"/model/decoder/inputs/past_value_names", "past.%s.value", "past_value_names"},
      {"/model/decoder/inputs/past_value_names", "past.%d.%d", "past_value_names"},
      {"/model/decoder/outputs", {}, "\"outputs\""},
      {"/model/decoder/outputs/logits", "", "logits"},
      {"/model/decoder/outputs/present_key_names", "%", "present_key_names"},
  };
  for (const Case& c : cases) {
    const test::TemporaryDir dir;
    Json json = genai_config();
    const Json::json_pointer pointer(c.at);
    if (c.value.is_null()) {
      json.at(pointer.parent_pointer()).erase(pointer.back());
    } else {
      json.at(pointer) = c.value;
    }
    write(dir.path(), json);
    try {
      ModelFolder::open(dir.path());
      FAIL() << c.at << " " << c.value;
    } catch (const Error& e) {
      EXPECT_NE(e.message().find(c.named), std::string::npos) << e.what();
      EXPECT_EQ(e.where(), (dir.path() / "genai_config.json").string());
    }
  }
}

TEST(ModelFolder, RefusesFoldersWithoutAModel) {
  const test::TemporaryDir dir;
  EXPECT_FALSE(holds_onnx_model(dir.path()));
  EXPECT_THROW(ModelFolder::open(dir.path()), Error);
  std::ofstream(dir.path() / "model.onnx") << "x";
  EXPECT_TRUE(holds_onnx_model(dir.path()));
  EXPECT_THROW(ModelFolder::open(dir.path()), Error) << "no config.json beside it";
  write(dir.path(), Json::array());
  EXPECT_THROW(ModelFolder::open(dir.path()), Error);
  EXPECT_THROW(read_generation_config(dir.path()), Error);
}

}  // namespace
}  // namespace duan::ort
