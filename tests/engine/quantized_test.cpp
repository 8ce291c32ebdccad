// Quantized checkpoints in both engines against transformers with compressed-tensors.
#include <gtest/gtest.h>

#include "eval/compare.h"
#include "support/paths.h"

namespace duan {
namespace {

struct Case {
  const char* checkpoint;
  double rel_l2;
};

// Four-bit weights are plain numbers once read: fp32 differs by the order of sums alone. Rounded inputs flip to the
// neighbouring code where a sum's last bit decides, one in some thousands; each flip moves a product by 1/127 of its
// row's largest value.
constexpr Case kCases[] = {{"qwen3_tied/awq_w4a16_asym", 1e-5},
                           {"qwen3_tied/awq_w4a16_sym", 1e-5},
                           {"qwen3_untied_mha/awq_w4a16_sym", 1e-5},
                           {"qwen3_untied_mha/int8_w8a8_dynamic", 5e-3}};

TEST(Quantized, BothEnginesGiveTheLogitsOfTransformers) {
  DUAN_NEEDS_REFERENCE();
  const auto folder = *test::reference_dir() / "golden" / "awq";
  for (const Case& c : kCases) {
    const models::Model model = models::Model::open(folder / c.checkpoint);
    engine::Options options;
    options.context = 64;
    options.compute = engine::Compute::fp32;
    const auto golden = folder / (std::string(c.checkpoint) + "_ref.safetensors");
    for (const int threads : {1, 3}) {
      options.threads = threads;
      const auto reference = engine::make_reference(model.graph, model.checkpoint, options);
      EXPECT_LE(eval::compare(model, *reference, golden, 1).rel_l2, c.rel_l2) << c.checkpoint;
      const auto native = engine::make_native(model.graph, model.checkpoint, options);
      EXPECT_LE(eval::compare(model, *native, golden, 1).rel_l2, c.rel_l2) << c.checkpoint;
    }
  }
}

TEST(Quantized, ResultsDoNotDependOnThreadsOrChunks) {
  DUAN_NEEDS_REFERENCE();
  for (const char* name : {"qwen3_tied/awq_w4a16_asym", "qwen3_untied_mha/int8_w8a8_dynamic"}) {
    const models::Model model = models::Model::open(*test::reference_dir() / "golden" / "awq" / name);
    std::vector<int64_t> ids;
    for (int64_t i = 0; i < 40; ++i) ids.push_back(i * 7 % model.config.vocab_size);
    for (const engine::Compute compute : {engine::Compute::fp32, engine::Compute::bf16}) {
      std::vector<float> first;
      for (const int threads : {1, 2, 3}) {
        for (const int64_t chunk : {1, 7, 512}) {
          engine::Options options;
          options.context = 64;
          options.compute = compute;
          options.threads = threads;
          options.chunk = chunk;
          const auto engine = engine::make_native(model.graph, model.checkpoint, options);
          const auto logits = engine->forward(ids);
          if (first.empty()) first.assign(logits.begin(), logits.end());
          EXPECT_TRUE(std::equal(first.begin(), first.end(), logits.begin(), logits.end()))
              << name << " threads " << threads << " chunk " << chunk;
        }
      }
    }
  }
}

}  // namespace
}  // namespace duan
