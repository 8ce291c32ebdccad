#include "bench/generation.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "engine/generate.h"
#include "models/model.h"
#include "support/models.h"

namespace duan::bench {
namespace {

struct Tiny {
  models::Model model = models::Model::open(test::data_dir() / "models" / "qwen3-tied");
  std::unique_ptr<engine::Engine> engine = engine::make_native(
      model.graph, model.checkpoint,
      {.threads = 1, .kv_dtype = DType::f32, .kv_automatic = false, .context = 64, .disabled_fusions = {}});
  std::vector<int64_t> prompt = {5, 6, 7};
};

TEST(Generation, WindowsCoverAllTokens) {
  Tiny tiny;
  const Generation g = generate(*tiny.engine, tiny.prompt, 45, KvCache::used, 2);
  ASSERT_EQ(g.windows.size(), 3u);
  EXPECT_EQ(g.windows[1].first, 20);
  EXPECT_EQ(g.windows[1].tokens, 20);
  EXPECT_EQ(g.windows[2].first, 40);
  EXPECT_EQ(g.windows[2].tokens, 5);
  for (const Window& window : g.windows) EXPECT_GT(window.rate(), 0);
  EXPECT_GT(g.rate(), 0);
  EXPECT_EQ(g.ids.size(), 45u);
  EXPECT_EQ(tiny.engine->position(), 0);
}

TEST(Generation, BothWaysGiveTheGreedyAnswer) {
  Tiny tiny;
  const Generation with = generate(*tiny.engine, tiny.prompt, 45, KvCache::used, 1);
  const Generation without = generate(*tiny.engine, tiny.prompt, 45, KvCache::unused, 2);
  EXPECT_EQ(with.ids, without.ids);
  engine::Sampler greedy({}, {});
  EXPECT_EQ(with.ids, engine::generate(*tiny.engine, tiny.prompt, greedy, {.max_tokens = 45}).ids);
}

TEST(Generation, WithoutTheCacheTheWholeSequenceIsComputed) {
  Tiny tiny;
  for (const KvCache cache : {KvCache::used, KvCache::unused}) {
    int64_t rows = 0;
    std::vector<int64_t> passes;  // rows of each forward pass
    generate(*tiny.engine, tiny.prompt, 4, cache, 2, [&](int64_t done) {
      passes.push_back(done - rows);
      rows = done;
    });
    EXPECT_EQ(passes, cache == KvCache::used ? (std::vector<int64_t>{1, 1, 1, 1, 1, 1, 1, 1})
                                             : (std::vector<int64_t>{3, 4, 5, 6, 3, 4, 5, 6}));
    EXPECT_EQ(rows, work(3, 4, cache, 2));
  }
}

TEST(Generation, RatesAreOfTheWindows) {
  Generation g;
  g.windows = {{0, 20, 2}, {20, 20, 4}, {40, 10, 4}};
  EXPECT_DOUBLE_EQ(g.rate(), 5);
  EXPECT_DOUBLE_EQ(g.last_over_first(), 0.25);
}

TEST(Generation, RefusesNothingToDo) {
  Tiny tiny;
  EXPECT_THROW(generate(*tiny.engine, {}, 4, KvCache::used, 1), InternalError);
  EXPECT_THROW(generate(*tiny.engine, tiny.prompt, 0, KvCache::used, 1), InternalError);
  EXPECT_THROW(generate(*tiny.engine, tiny.prompt, 63, KvCache::used, 1), Error);  // needs 65 of 64 positions
}

}  // namespace
}  // namespace duan::bench
