#include "eval/compare.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "support/models.h"

namespace duan::eval {
namespace {

std::unique_ptr<engine::Engine> make(const models::Model& model, engine::Compute compute) {
  engine::Options options;
  options.context = 256;
  options.threads = 1;
  options.compute = compute;
  return engine::make_native(model.graph, model.checkpoint, options);
}

TEST(Compare, FindsTheFirstNodeThatDiffers) {
  const models::Model model = models::Model::open(test::data_dir() / "models" / "qwen3-untied");
  const auto bf16 = make(model, engine::Compute::bf16), fp32 = make(model, engine::Compute::fp32);
  const auto golden = test::data_dir() / "models" / "qwen3-untied" / "goldens" / "n40.safetensors";
  const Comparison c = compare(model, *bf16, golden, 1e-6, fp32.get());
  EXPECT_GT(c.max_abs, 1e-6);
  // The first value that bf16 rounds is the output of the first norm.
  EXPECT_EQ(c.first_divergence, "model.layers.0.input_layernorm");
  EXPECT_EQ(compare(model, *fp32, golden, 5e-4).first_divergence, "");
}

TEST(Compare, ReportsAWrongModel) {
  const models::Model model = models::Model::open(test::data_dir() / "models" / "qwen3-yarn");
  const auto engine = make(model, engine::Compute::fp32);
  const auto golden = test::data_dir() / "models" / "qwen3-untied" / "goldens" / "n40.safetensors";
  const auto other = models::Model::open(test::data_dir() / "models" / "qwen3-untied");
  if (model.config.vocab_size == other.config.vocab_size) {
    const Comparison c = compare(model, *engine, golden, 5e-4);
    EXPECT_GT(c.max_abs, 0.1);
    EXPECT_FALSE(c.greedy_equal);
  } else {
    EXPECT_THROW(compare(model, *engine, golden, 5e-4), Error);
  }
}

TEST(Compare, RefusesFilesThatAreNoGoldens) {
  const models::Model model = models::Model::open(test::data_dir() / "models" / "qwen3-untied");
  const auto engine = make(model, engine::Compute::fp32);
  EXPECT_THROW(compare(model, *engine, test::data_dir() / "models" / "qwen3-untied" / "model.safetensors", 5e-4),
               Error);
  EXPECT_THROW(compare(model, *engine, "no/such/file", 5e-4), Error);
}

}  // namespace
}  // namespace duan::eval
