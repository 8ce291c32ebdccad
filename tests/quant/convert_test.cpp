// Whole models in other tools' formats: the same codes give the same logits in every form, and converting keeps them.
#include "quant/convert.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/log.h"
#include "support/errors.h"
#include "support/logits.h"
#include "support/paths.h"
#include "support/rounded_models.h"

namespace duan::quant {
namespace {
namespace fs = std::filesystem;

using test::logits_of;
using test::RoundingForm;

fs::path tiny(const char* name) { return test::data_dir() / "models" / name; }

Json converted(const fs::path& from, const fs::path& to, const ConvertOptions& options = {}) {
  return convert(models::Model::open(from), to, options, [](uint64_t, uint64_t) {});
}

TEST(Convert, EveryFormOfTheSameCodesGivesTheSameLogits) {
  struct Case {
    const char* model;
    RoundingForm form;
  };
  const Case cases[] = {
      {"qwen3-untied", {.storage = "awq"}},
      {"qwen2", {.storage = "gptq", .symmetric = true, .zero_biases = true}},
      {"qwen3-tied", {.storage = "gptq", .bits = 8}},
      {"llama3", {.storage = "gptq_v2", .group = -1}},
      {"qwen3-untied", {.storage = "gptq", .bits = 8, .group = -1, .symmetric = true}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::string(c.model) + " " + c.form.storage);
    const test::TemporaryDir dir;
    RoundingForm packed = c.form;
    packed.storage = "compressed-tensors";
    packed.zero_biases = false;
    test::write_rounded_model(tiny(c.model), dir.path() / "other", c.form);
    test::write_rounded_model(tiny(c.model), dir.path() / "packed", packed);
    const std::vector<float> expected = logits_of(dir.path() / "packed");
    EXPECT_EQ(logits_of(dir.path() / "other"), expected);

    const Json report = converted(dir.path() / "other", dir.path() / "out");
    EXPECT_EQ(logits_of(dir.path() / "out"), expected);
    EXPECT_EQ(report.at("bits"), c.form.bits);
    EXPECT_EQ(report.at("symmetric"), c.form.symmetric);
    EXPECT_EQ(report.at("modules").at("plain"), 1);
    // Tensor for tensor what the test packed.
    const checkpoint::SafetensorsFile a(dir.path() / "packed" / "model.safetensors");
    const checkpoint::SafetensorsFile b(dir.path() / "out" / "model.safetensors");
    const bool stray = std::string_view(c.model) == "qwen3-tied";  // a head of its own that nothing reads
    ASSERT_EQ(a.entries().size(), b.entries().size() + stray);
    for (const auto& entry : a.entries()) {
      if (stray && entry.name == "lm_head.weight") continue;
      const auto x = a.view(entry);
      const auto y = b.find(entry.name);
      ASSERT_TRUE(y && y->dtype == x.dtype && y->shape == x.shape) << entry.name;
      EXPECT_EQ(std::memcmp(x.data, y->data, x.bytes), 0) << entry.name;
    }
  }
}

TEST(Convert, ConfigKeepsItsBytesBesideQuantization) {
  const test::TemporaryDir dir;
  test::write_rounded_model(tiny("qwen3-untied"), dir.path() / "awq", {.storage = "awq"});
  converted(dir.path() / "awq", dir.path() / "out");
  const std::string before = read_file(dir.path() / "awq" / "config.json");
  const std::string after = read_file(dir.path() / "out" / "config.json");
  const size_t at = before.find("\"quantization_config\"");
  EXPECT_EQ(after.substr(0, at), before.substr(0, at));
  Json a = parse_json(before, ""), b = parse_json(after, "");
  EXPECT_EQ(b.at("quantization_config").at("ignore"), Json::array({"lm_head"}));
  a.erase("quantization_config"), b.erase("quantization_config");
  EXPECT_EQ(a, b);
}

TEST(Convert, ColumnsOutOfOrderRunAsPlainNumbersAndAreNotConverted) {
  const test::TemporaryDir dir;
  const RoundingForm form{.storage = "gptq", .scattered = true};
  RoundingForm plain = form;
  plain.storage = "plain";
  test::write_rounded_model(tiny("qwen3-untied"), dir.path() / "gptq", form);
  test::write_rounded_model(tiny("qwen3-untied"), dir.path() / "plain", plain);
  EXPECT_EQ(logits_of(dir.path() / "gptq"), logits_of(dir.path() / "plain"));
  const std::string what = test::error_of([&] { converted(dir.path() / "gptq", dir.path() / "out"); });
  EXPECT_NE(what.find("out of order (desc_act)"), std::string::npos) << what;
  EXPECT_FALSE(fs::exists(dir.path() / "out"));
}

TEST(Convert, PicturesModelKeepsItsTower) {
  const test::TemporaryDir dir;
  const fs::path demo = test::source_dir() / "models" / "demo";
  test::write_rounded_model(demo, dir.path() / "awq", {.storage = "awq", .group = 128});
  const Json report = converted(dir.path() / "awq", dir.path() / "out", {.max_shard_bytes = 2'000'000});
  const Json config = read_json(dir.path() / "out" / "config.json");
  const Json& ignore = config.at("quantization_config").at("ignore");
  EXPECT_NE(std::find(ignore.begin(), ignore.end(), "lm_head"), ignore.end());
  EXPECT_NE(std::find(ignore.begin(), ignore.end(), "model.visual.blocks.0.attn.qkv"), ignore.end());
  EXPECT_TRUE(fs::exists(dir.path() / "out" / "model.safetensors.index.json"));
  EXPECT_TRUE(fs::exists(dir.path() / "out" / "preprocessor_config.json"));
  EXPECT_EQ(report.at("modules").at("quantized"), 28);
  EXPECT_EQ(logits_of(dir.path() / "out"), logits_of(dir.path() / "awq"));
}

TEST(Convert, SaysWhatItDoesNotConvert) {
  const test::TemporaryDir dir;
  const auto error = [&](const fs::path& from, const ConvertOptions& options = {}) {
    return test::error_of([&] { converted(from, dir.path() / "out", options); });
  };
  EXPECT_NE(error(tiny("qwen3-untied")).find("is not quantized"), std::string::npos);
  test::write_rounded_model(tiny("qwen3-untied"), dir.path() / "packed", {.storage = "compressed-tensors"});
  EXPECT_NE(error(dir.path() / "packed").find("pack-quantized already"), std::string::npos);

  // Codes of something that the architecture does not have.
  test::write_rounded_model(tiny("qwen3-untied"), dir.path() / "awq", {.storage = "awq"});
  const checkpoint::SafetensorsFile file(dir.path() / "awq" / "model.safetensors");
  std::vector<test::StoredTensor> tensors;
  for (const auto& entry : file.entries()) {
    const auto view = file.view(entry);
    tensors.push_back({{entry.name, entry.dtype, entry.shape}, {view.data, view.data + view.bytes}});
  }
  auto with = [&](const char* folder, test::StoredTensor extra) {
    fs::create_directory(dir.path() / folder);
    fs::copy_file(dir.path() / "awq" / "config.json", dir.path() / folder / "config.json");
    tensors.push_back(std::move(extra));
    test::write_tensors(dir.path() / folder / "model.safetensors", tensors);
    tensors.pop_back();
    return dir.path() / folder;
  };
  const auto stray =
      with("stray", test::stored("model.layers.9.mlp.up_proj.qweight", DType::i32, {1}, std::vector<int32_t>{1}));
  EXPECT_NE(error(stray).find("belongs to no layer"), std::string::npos) << error(stray);
  std::vector<uint16_t> bias(64, 0);
  bias[3] = 0x3C00;
  const auto biased = with("biased", test::stored("model.layers.0.mlp.down_proj.bias", DType::f16, {64}, bias));
  EXPECT_NE(error(biased).find("down_proj.bias\" is not zero"), std::string::npos) << error(biased);

  EXPECT_EQ(error(dir.path() / "awq"), "");
  EXPECT_NE(error(dir.path() / "awq").find("the folder is not empty"), std::string::npos);
  EXPECT_EQ(error(dir.path() / "awq", {.overwrite = true}), "");
  EXPECT_NE(test::error_of([&] { converted(dir.path() / "awq", dir.path() / "awq"); }).find("the model itself"),
            std::string::npos);
  fs::create_directory(dir.path() / "mine");
  test::write_bytes(dir.path() / "mine" / "notes", "");
  EXPECT_NE(test::error_of([&] {
              converted(dir.path() / "awq", dir.path() / "mine", {.overwrite = true});
            }).find("holds no conversion_report.json"),
            std::string::npos);
}

}  // namespace
}  // namespace duan::quant
