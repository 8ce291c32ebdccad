#include "checkpoint/awq_gptq_config.h"

#include <gtest/gtest.h>

#include "base/log.h"
#include "checkpoint/config.h"
#include "checkpoint/support.h"
#include "support/paths.h"

namespace duan::checkpoint {
namespace {

QuantizationConfig parsed(const std::string& text) { return parse_quantization_config(parse_json(text, ""), "x.json"); }

TEST(AwqGptqConfig, ReadsWhatPublishedCheckpointsSay) {
  const QuantizationConfig awq = parsed(R"({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": true,
      "version": "GEMM", "modules_to_not_convert": ["visual"]})");
  EXPECT_EQ(awq.storage, WeightStorage::awq);
  EXPECT_EQ(awq.schemes.at(0).bits, 4);
  EXPECT_EQ(awq.schemes[0].group_size, 128);
  EXPECT_FALSE(awq.schemes[0].symmetric);
  EXPECT_EQ(awq.ignore, std::vector<std::string>{"visual"});
  const QuantizationConfig gptq = parsed(R"({"quant_method": "gptq", "bits": 8, "group_size": -1, "sym": true,
      "desc_act": true, "checkpoint_format": "gptq_v2", "pack_dtype": "int32", "lm_head": false, "dynamic": {"-:x": {}},
      "meta": {"damp_percent": 0.01, "quantizer": ["gptqmodel:2.2.0"]}})");
  EXPECT_EQ(gptq.storage, WeightStorage::gptq_v2);
  EXPECT_EQ(gptq.schemes.at(0).bits, 8);
  EXPECT_EQ(gptq.schemes[0].group_size, 0);
  EXPECT_TRUE(gptq.schemes[0].symmetric);
  EXPECT_TRUE(gptq.desc_act);
  EXPECT_EQ(parsed(R"({"quant_method": "gptq", "bits": 4, "group_size": 64})").storage, WeightStorage::gptq);
  EXPECT_EQ(storage_name(WeightStorage::gptq_v2), "GPTQ v2");
}

TEST(AwqGptqConfig, WarnsOfUnknownKeysAlone) {
  std::vector<std::string> lines;
  set_warning_sink([&](const std::string& line) { lines.push_back(line); });
  parsed(R"({"quant_method": "gptq", "bits": 4, "group_size": 64, "true_sequential": true, "rotation": "hadamard"})");
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("unknown key \"rotation\""), std::string::npos) << lines[0];
  set_warning_sink({});
}

TEST(AwqGptqConfig, RefusesWhatItCannotRead) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"quant_method": "awq"})", "\"bits\" is missing"},
      {R"({"quant_method": "awq", "bits": 4})", "\"group_size\" is missing"},
      {R"({"quant_method": "awq", "bits": 8, "group_size": 128})", "\"bits\" is 8, expected 4 with AutoAWQ"},
      {R"({"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemv"})", "\"version\" is \"gemv\""},
      {R"({"quant_method": "awq", "bits": 4, "group_size": 128, "checkpoint_format": "gemv_fast"})", "\"gemv_fast\""},
      {R"({"quant_method": "awq", "bits": 4, "group_size": 0})", "\"group_size\" is 0"},
      {R"({"quant_method": "awq", "bits": 4, "group_size": 128, "modules_to_not_convert": "x"})", "a list of names"},
      {R"({"quant_method": "awq", "bits": 4, "group_size": 128, "modules_to_not_convert": [1]})", "expected a string"},
      {R"({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": 1})", "zero_point"},
      {R"({"quant_method": "gptq", "group_size": 128})", "\"bits\" is missing"},
      {R"({"quant_method": "gptq", "bits": 3, "group_size": 128})", "\"bits\" is 3, expected 4 or 8 with GPTQ"},
      {R"({"quant_method": "gptq", "bits": "4", "group_size": 128})", "bits"},
      {R"({"quant_method": "gptq", "bits": 4, "group_size": -2})", "\"group_size\" is -2"},
      {R"({"quant_method": "gptq", "bits": 4, "group_size": 128, "checkpoint_format": "marlin"})", "\"marlin\""},
      {R"({"quant_method": "gptq", "bits": 4, "group_size": 128, "is_marlin_format": true})", "is_marlin_format"},
      {R"({"quant_method": "gptq", "bits": 4, "group_size": 128, "pack_dtype": "int16"})", "pack_dtype"},
      {R"({"quant_method": "gptq", "bits": 4, "group_size": 128, "dynamic": {"+:down": {"bits": 8}}})",
       "gives the modules \"+:down\" another \"bits\""},
      {R"({"quant_method": "gptq", "bits": 4, "group_size": 128, "dynamic": []})", ""},
      {R"({"quant_method": "hqq", "bits": 4})", "quant_method \"hqq\" is not supported"},
  };
  for (const auto& [text, cause] : cases) {
    const std::string what = test::error_of([&, t = text] { parsed(t); });
    if (std::string(cause).empty()) {
      EXPECT_EQ(what, "");  // says nothing
    } else {
      EXPECT_TRUE(test::is_good_message(what, "x.json", cause)) << cause << ": " << what;
    }
  }
}

TEST(AwqGptqConfig, OlderFoldersHaveAFileOfTheirOwn) {
  const auto from = duan::test::data_dir() / "models" / "qwen3-untied";
  const auto with = [&](const char* name, const std::string& text) {
    const duan::test::TemporaryDir dir;
    std::filesystem::copy_file(from / "config.json", dir.path() / "config.json");
    duan::test::write_bytes(dir.path() / name, text);
    return read_config(dir.path()).quantization;
  };
  const auto awq =
      with("quant_config.json", R"({"zero_point": true, "q_group_size": 64, "w_bit": 4, "version": "GEMM"})");
  ASSERT_TRUE(awq);
  EXPECT_EQ(awq->storage, WeightStorage::awq);
  EXPECT_EQ(awq->schemes[0].group_size, 64);
  const auto gptq = with("quantize_config.json", R"({"bits": 4, "group_size": 128, "desc_act": false, "sym": true})");
  ASSERT_TRUE(gptq);
  EXPECT_EQ(gptq->storage, WeightStorage::gptq);
  EXPECT_FALSE(with("other.json", "{}"));
  EXPECT_NE(test::error_of([&] { with("quant_config.json", R"({"w_bit": 4})"); }).find("\"group_size\" is missing"),
            std::string::npos);
  EXPECT_NE(test::error_of([&] { with("quant_config.json", "[]"); }).find("is not a JSON object"), std::string::npos);
  EXPECT_NE(test::error_of([&] { with("quant_config.json", R"({"quant_method": "exl2"})"); }).find("\"exl2\""),
            std::string::npos);
}

}  // namespace
}  // namespace duan::checkpoint
