#include "engine/kv_cache.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "models/model.h"
#include "support/models.h"

namespace duan::engine {
namespace {

TEST(KvCache, ViewsDoNotOverlapAndFillTheMemory) {
  const models::Model model = models::Model::open(test::data_dir() / "models" / "qwen3-untied");
  const checkpoint::ModelConfig& c = model.config;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const KvCache cache(model.graph, 30, dtype);
    const int64_t plane = kernels::kv_bytes(dtype, 32, c.head_dim);
    std::set<std::byte*> starts;
    for (int32_t layer = 0; layer < c.num_hidden_layers; ++layer) {
      for (int64_t head = 0; head < c.num_key_value_heads; ++head) {
        const kernels::KvView view = cache.view(layer, head);
        EXPECT_EQ(view.capacity, 32);
        EXPECT_EQ(view.head_dim, c.head_dim);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(view.keys) % 64, 0u);
        starts.insert(view.keys);
        starts.insert(view.values);
      }
    }
    ASSERT_EQ(static_cast<int64_t>(starts.size()), 2 * c.num_hidden_layers * c.num_key_value_heads);
    std::byte* previous = nullptr;
    for (std::byte* start : starts) {
      if (previous != nullptr) {
        EXPECT_GE(start - previous, plane);
      }
      previous = start;
    }
    EXPECT_EQ(cache.bytes(), static_cast<int64_t>(starts.size()) * plane);
    EXPECT_EQ(cache.bytes(), KvCache::bytes_for(model.graph, 30, dtype));
  }
}

TEST(KvCache, RefusesSizesThatOverflow) {
  const models::Model model = models::Model::open(test::data_dir() / "models" / "qwen3-untied");
  EXPECT_THROW(KvCache(model.graph, int64_t{1} << 62, DType::f32), Error);
}

}  // namespace
}  // namespace duan::engine
