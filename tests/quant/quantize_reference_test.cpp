// Whole runs against checkpoints and logits of llm-compressor.
#include <gtest/gtest.h>

#include <cmath>

#include "engine/engine.h"
#include "eval/compare.h"
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

// |logits - source| / |source|, as golden/awq/summary.json has it.
double error_against(const fs::path& golden, const models::Model& model) {
  const checkpoint::SafetensorsFile file(golden);
  const auto ids = *file.find("input_ids"), logits = *file.find("logits");
  const int64_t batch = ids.shape[0], tokens = ids.shape[1], vocab = model.config.vocab_size;
  engine::Options options;
  options.context = tokens;
  options.compute = engine::Compute::fp32;
  const auto engine = engine::make_native(model.graph, model.checkpoint, options);
  double error = 0, whole = 0;
  for (int64_t b = 0; b < batch; ++b) {
    std::vector<int64_t> sequence(static_cast<size_t>(tokens));
    std::memcpy(sequence.data(), ids.data + b * tokens * 8, static_cast<size_t>(tokens) * 8);
    engine->truncate(0);
    engine->forward_all(sequence, [&](int64_t t, std::span<const float> row) {
      std::vector<float> expected(static_cast<size_t>(vocab));
      to_float(logits.dtype, logits.data + ((b * tokens + t) * vocab) * static_cast<int64_t>(dtype_size(logits.dtype)),
               vocab, expected.data());
      for (size_t i = 0; i < expected.size(); ++i) {
        error += std::pow(row[i] - expected[i], 2);
        whole += std::pow(expected[i], 2);
      }
    });
  }
  return std::sqrt(error / whole);
}

TEST(QuantizeReference, RtnInGroupsOf4BitsHasLlmCompressorsLogits) {
  DUAN_NEEDS_REFERENCE();
  const fs::path folder = *test::reference_dir() / "golden/awq/qwen3_tied";
  const test::TemporaryDir dir;
  // Their run computed in fp32, so its scales are fp32.
  const checkpoint::SafetensorsFile source(folder / "src/model.safetensors");
  std::vector<checkpoint::TensorSpec> specs;
  for (const auto& entry : source.entries()) specs.push_back({entry.name, DType::f32, entry.shape});
  fs::create_directory(dir.path() / "wide");
  fs::copy_file(folder / "src/config.json", dir.path() / "wide/config.json");
  checkpoint::write_safetensors(dir.path() / "wide/model.safetensors", specs,
                                [&](size_t i, const checkpoint::ByteSink& sink) {
                                  const auto view = source.view(source.entries()[i]);
                                  std::vector<float> values(static_cast<size_t>(*element_count(view.shape)));
                                  to_float(view.dtype, view.data, static_cast<int64_t>(values.size()), values.data());
                                  sink(std::as_bytes(std::span(values)));
                                });
  QuantizeOptions options = test::options_for(Method::rtn);
  options.recipe.weights.group_size = 128;
  quantize(models::Model::open(dir.path() / "wide"), nullptr, dir.path() / "out", options);
  const double error =
      error_against(folder / "rtn_w4a16_sym_mse_ref.safetensors", models::Model::open(dir.path() / "out"));
  RecordProperty("error", std::to_string(error));
  EXPECT_LT(error, 0.01);
  // As far from the source as theirs (0.397), with scales in the source's bf16 as well.
  quantize(models::Model::open(folder / "src"), nullptr, dir.path() / "narrow", options);
  for (const char* name : {"out", "narrow"}) {
    EXPECT_NEAR(error_against(folder / "src_ref.safetensors", models::Model::open(dir.path() / name)), 0.397, 0.01);
  }
}

TEST(QuantizeReference, StaticInt8BeatsLlmCompressorsOnRandomWeightsWithOutliers) {
  DUAN_NEEDS_REFERENCE();
  const fs::path folder = *test::reference_dir() / "golden/awq/qwen3_untied_mha";
  const models::Model model = models::Model::open(folder / "src");
  const checkpoint::SafetensorsFile calibration(folder / "calib.safetensors");
  const auto ids = *calibration.find("input_ids");
  CalibrationSet samples;
  for (int64_t s = 0; s < ids.shape[0]; ++s) {
    samples.samples.emplace_back(static_cast<size_t>(ids.shape[1]));
    std::memcpy(samples.samples.back().data(), ids.data + s * ids.shape[1] * 8, static_cast<size_t>(ids.shape[1]) * 8);
  }
  const test::TemporaryDir dir;
  quantize(model, &samples, dir.path() / "out", test::options_for(Method::int8_static));
  // golden/awq/summary.json: 0.203.
  EXPECT_LT(error_against(folder / "src_ref.safetensors", models::Model::open(dir.path() / "out")), 0.203);
}

}  // namespace
}  // namespace duan::quant
