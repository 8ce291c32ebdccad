// Whole runs against checkpoints and logits of llm-compressor.
#include <gtest/gtest.h>

#include "quant/golden.h"
#include "quant/support.h"

namespace duan::quant {
namespace {

namespace fs = std::filesystem;

TEST(QuantizeReference, Int8DynamicIsLlmCompressorsCheckpoint) {
  DUAN_NEEDS_REFERENCE();
  const fs::path folder = *test::reference_dir() / "golden/awq/qwen3_untied_mha";
  const models::Model model = models::Model::open(folder / "src");
  QuantizeOptions options = test::options_for(Method::int8_dynamic);
  options.recipe.weights.narrow = true;
  options.recipe.keep = {"embed_tokens", "lm_head"};
  const test::TemporaryDir dir;
  quantize(model, nullptr, dir.path() / "out", options);
  const checkpoint::SafetensorsFile ours(dir.path() / "out" / "model.safetensors"),
      theirs(folder / "int8_w8a8_dynamic" / "model.safetensors");
  ASSERT_EQ(ours.entries().size(), theirs.entries().size());
  for (const checkpoint::TensorEntry& entry : theirs.entries()) {
    const auto a = ours.find(entry.name), b = theirs.find(entry.name);
    ASSERT_TRUE(a) << entry.name;
    EXPECT_EQ(a->dtype, b->dtype) << entry.name;
    EXPECT_EQ(a->shape, b->shape) << entry.name;
    EXPECT_EQ(std::memcmp(a->data, b->data, b->bytes), 0) << entry.name;
  }
}

TEST(QuantizeReference, RtnInGroupsOf4BitsHasLlmCompressorsLogits) {
  DUAN_NEEDS_REFERENCE();
  const fs::path folder = *test::reference_dir() / "golden/awq/qwen3_tied";
  const test::TemporaryDir dir;
  // Their run computed in fp32, so its scales are fp32.
  test::widen(folder / "src", dir.path() / "wide");
  QuantizeOptions options = test::options_for(Method::rtn);
  options.recipe.weights.group_size = 128;
  quantize(models::Model::open(dir.path() / "wide"), nullptr, dir.path() / "out", options);
  const double error =
      test::error_against(folder / "rtn_w4a16_sym_mse_ref.safetensors", models::Model::open(dir.path() / "out"));
  RecordProperty("error", std::to_string(error));
  EXPECT_LT(error, 0.01);
  // As far from the source as theirs (0.397), with scales in the source's bf16 as well.
  quantize(models::Model::open(folder / "src"), nullptr, dir.path() / "narrow", options);
  for (const char* name : {"out", "narrow"}) {
    EXPECT_NEAR(test::error_against(folder / "src_ref.safetensors", models::Model::open(dir.path() / name)), 0.397,
                0.01);
  }
}

TEST(QuantizeReference, StaticInt8BeatsLlmCompressorsOnRandomWeightsWithOutliers) {
  DUAN_NEEDS_REFERENCE();
  const fs::path folder = *test::reference_dir() / "golden/awq/qwen3_untied_mha";
  const models::Model model = models::Model::open(folder / "src");
  const CalibrationSet samples = test::golden_samples(folder / "calib.safetensors");
  const test::TemporaryDir dir;
  quantize(model, &samples, dir.path() / "out", test::options_for(Method::int8_static));
  // golden/awq/summary.json: 0.203.
  EXPECT_LT(test::error_against(folder / "src_ref.safetensors", models::Model::open(dir.path() / "out")), 0.203);
}

}  // namespace
}  // namespace duan::quant
