#include "engine/plan.h"

#include <gtest/gtest.h>

#include <random>

#include "models/model.h"
#include "support/models.h"

namespace duan::engine {
namespace {

int64_t size_of(const Plan& plan, const Buffer& b) {
  return b.width * (b.per_slice ? plan.slice_rows : plan.chunk_rows) * static_cast<int64_t>(dtype_size(b.dtype));
}

void expect_sound(const Plan& plan) {
  for (size_t i = 0; i < plan.buffers.size(); ++i) {
    const Buffer& a = plan.buffers[i];
    EXPECT_EQ(a.offset % 64, 0);
    EXPECT_LE(a.offset + size_of(plan, a), plan.arena_bytes);
    for (size_t j = 0; j < i; ++j) {
      const Buffer& b = plan.buffers[j];
      const bool together = a.first_step <= b.last_step && b.first_step <= a.last_step;
      const bool apart = a.offset + size_of(plan, a) <= b.offset || b.offset + size_of(plan, b) <= a.offset;
      EXPECT_TRUE(!together || apart) << "buffers " << i << " and " << j;
    }
  }
}

TEST(Plan, BuffersThatLiveTogetherDoNotOverlap) {
  for (const auto& folder : test::tiny_models()) {
    const models::Model model = models::Model::open(folder);
    for (const Compute compute : {Compute::fp32, Compute::int16, Compute::bf16}) {
      for (const bool fused : {false, true}) {
        Options options;
        options.context = 128;
        options.chunk = 100;
        if (!fused) options.disabled_fusions = {"all"};
        const Plan plan =
            make_plan(model.graph, weights_of(model.checkpoint), options, {compute, DType::f32}, PlanRows::asked);
        expect_sound(plan);
        int64_t together = 0;
        for (const Buffer& buffer : plan.buffers) together += size_of(plan, buffer);
        EXPECT_LT(plan.arena_bytes, together / 2) << "nothing is reused";
      }
    }
  }
}

TEST(Plan, PlacesRandomLifetimesSoundly) {
  std::mt19937 random(3);
  for (int round = 0; round < 50; ++round) {
    Plan plan;
    plan.chunk_rows = 1 + static_cast<int64_t>(random() % 9);
    plan.slice_rows = 1;
    for (int i = 0; i < 30; ++i) {
      const auto first = static_cast<int32_t>(random() % 40);
      plan.buffers.push_back({.width = 1 + static_cast<int64_t>(random() % 300),
                              .dtype = random() % 2 == 0 ? DType::f32 : DType::bf16,
                              .per_slice = random() % 5 == 0,
                              .first_step = first,
                              .last_step = first + static_cast<int32_t>(random() % 10)});
    }
    place_buffers(plan);
    expect_sound(plan);
  }
}

TEST(Plan, TheTailHoldsWhatFollowsTheLastAttention) {
  const models::Model model = models::Model::open(test::tiny_models()[0]);
  Options options;
  options.context = 128;
  const Plan plan = make_plan(model.graph, weights_of(model.checkpoint), options, {}, PlanRows::asked);
  for (size_t i = 0; i < plan.steps.size(); ++i) {
    if (i >= plan.tail_begin) {
      EXPECT_FALSE(std::holds_alternative<AttentionStep>(plan.steps[i].work));
    }
  }
  EXPECT_TRUE(std::holds_alternative<AttentionStep>(plan.steps[plan.tail_begin - 1].work));
  // Per layer: norm, qkv, attention, o, norm, gate-up, down; besides: embed, angles, norm, head.
  EXPECT_EQ(plan.steps.size(), static_cast<size_t>(7 * model.config.num_hidden_layers + 4));
}

}  // namespace
}  // namespace duan::engine
