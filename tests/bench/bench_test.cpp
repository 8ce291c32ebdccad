#include "bench/bench.h"

#include <gtest/gtest.h>

#include "models/model.h"
#include "support/models.h"

namespace duan::bench {
namespace {

struct Tiny {
  models::Model model = models::Model::open(test::data_dir() / "models" / "qwen3-tied");
  std::unique_ptr<engine::Engine> engine = engine::make_native(
      model.graph, model.checkpoint,
      {.threads = 1, .kv_dtype = DType::f32, .kv_automatic = false, .context = 64, .disabled_fusions = {}});
};

TEST(Bench, SpreadIsMedianAndExtremes) {
  const Spread odd = spread({3, 1, 2});
  EXPECT_EQ(odd.median, 2);
  EXPECT_EQ(odd.min, 1);
  EXPECT_EQ(odd.max, 3);
  EXPECT_EQ(spread({4, 1}).median, 2.5);
  EXPECT_EQ(spread({5}).median, 5);
}

TEST(Bench, RandomIdsAreInTheVocabularyAndRepeatable) {
  const auto ids = random_ids(1000, 7, 3);
  for (const int64_t id : ids) EXPECT_TRUE(id >= 0 && id < 7);
  EXPECT_EQ(random_ids(1000, 7, 3), ids);
  EXPECT_NE(random_ids(1000, 7, 4), ids);
}

TEST(Bench, RatesArePositiveAndLeaveTheSequenceWhereItWasMeasured) {
  Tiny tiny;
  const Spread prefill = prefill_rate(*tiny.engine, 208, 32, 2);
  EXPECT_GT(prefill.min, 0);
  EXPECT_LE(prefill.min, prefill.median);
  EXPECT_LE(prefill.median, prefill.max);
  EXPECT_EQ(tiny.engine->position(), 32);
  EXPECT_GT(decode_rate(*tiny.engine, 208, 16, 4, 2).min, 0);
  EXPECT_EQ(tiny.engine->position(), 20);
  EXPECT_GT(decode_rate(*tiny.engine, 208, 0, 4, 1).min, 0);
}

TEST(Bench, CountsTheBytesOfATokenOnce) {
  const Tiny tiny;
  // The tied matrix is read whole, as the head; one row of it again, as the embedding.
  int64_t weights = 64 * 2;
  for (const ir::WeightInfo& weight : tiny.model.graph.weights) weights += *element_count(weight.shape) * 2;
  const int64_t per_position = 2 * 2 * 2 * 32 * 4;  // layers, keys and values, heads, head_dim, bytes of f32
  EXPECT_EQ(bytes_per_token(tiny.model.graph, tiny.model.checkpoint, *tiny.engine, 0), weights);
  EXPECT_EQ(bytes_per_token(tiny.model.graph, tiny.model.checkpoint, *tiny.engine, 10), weights + 10 * per_position);
}

TEST(Bench, TheProbeReadsItsBuffer) {
  const BandwidthProbe probe;
  EXPECT_GT(probe.bytes(), 0);
  EXPECT_LE(probe.bytes(), kProbeBytes);
  EXPECT_GT(probe.measure(1), 1e6);
  EXPECT_GT(probe.measure(2), 1e6);
}

}  // namespace
}  // namespace duan::bench
