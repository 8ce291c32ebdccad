#include "engine/generate.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "models/model.h"
#include "support/models.h"

namespace duan::engine {
namespace {

class Generate : public ::testing::Test {
 protected:
  Generate() : model_(models::Model::open(test::data_dir() / "models" / "qwen3-tied")) {
    Options options;
    options.threads = 1;
    options.context = 40;
    options.chunk = 8;
    engine_ = make_native(model_.graph, model_.checkpoint, options);
  }
  Generated run(const GenerateOptions& options, const std::function<bool(int64_t)>& on_token = {}) {
    engine_->truncate(0);
    Sampler sampler({}, {});
    return generate(*engine_, prompt_, sampler, options, on_token);
  }
  models::Model model_;
  std::unique_ptr<Engine> engine_;
  std::vector<int64_t> prompt_ = {5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
};

TEST_F(Generate, StopsAtTheLimitTheContextOrAStopId) {
  const Generated limited = run({.max_tokens = 12});
  EXPECT_EQ(limited.ids.size(), 12u);
  EXPECT_EQ(limited.finish, Finish::length);
  EXPECT_EQ(limited.prompt_tokens, 10);

  const Generated full = run({});
  EXPECT_EQ(full.finish, Finish::context);
  EXPECT_EQ(full.ids.size(), 31u);  // 10 + 30 in the cache, and one more chosen

  const Generated stopped = run({.max_tokens = 12, .stop_ids = {limited.ids[5]}});
  EXPECT_EQ(stopped.finish, Finish::stop);
  EXPECT_LE(stopped.ids.size(), 5u);  // the stop id is not part of the answer
  EXPECT_EQ(run({.max_tokens = 0}).ids.size(), 0u);
}

TEST_F(Generate, ObeysTheCallbackAndCancellation) {
  int seen = 0;
  EXPECT_EQ(run({.max_tokens = 12}, [&](int64_t) { return ++seen < 3; }).ids.size(), 3u);
  std::atomic<bool> cancel{false};
  const Generated cancelled = run({.max_tokens = 12, .cancel = &cancel}, [&](int64_t) {
    cancel = true;
    return true;
  });
  EXPECT_EQ(cancelled.finish, Finish::cancelled);
  EXPECT_EQ(cancelled.ids.size(), 1u);
  // Cancelled before it began: the sequence is as it was.
  EXPECT_EQ(run({.max_tokens = 12, .cancel = &cancel}).finish, Finish::cancelled);
  EXPECT_EQ(engine_->position(), 0);
}

TEST_F(Generate, RefusesAPromptThatDoesNotFit) {
  prompt_.assign(41, 1);
  EXPECT_THROW(run({}), Error);
  EXPECT_EQ(engine_->position(), 0);
  prompt_.clear();
  EXPECT_THROW(run({}), Error);
}

}  // namespace
}  // namespace duan::engine
