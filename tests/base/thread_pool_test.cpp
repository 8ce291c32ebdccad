#include "base/thread_pool.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

namespace duan {
namespace {

TEST(ThreadPool, RunsEveryIndexOnceManyTimes) {
  for (const int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    std::vector<int> counts(static_cast<size_t>(threads), 0);
    for (int i = 0; i < 300; ++i) {
      pool.run([&](int index) { ++counts[static_cast<size_t>(index)]; });
    }
    for (const int count : counts) EXPECT_EQ(count, 300);
  }
}

TEST(ThreadPool, RunsEveryIndexOnceWhereThreadsShareAProcessor) {
  std::thread([] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);  // workers inherit it
    ThreadPool pool(8);
    std::vector<int> counts(8, 0);
    for (int i = 0; i < 1000; ++i) {
      pool.run([&](int index) { ++counts[static_cast<size_t>(index)]; });
      for (const int count : counts) ASSERT_EQ(count, i + 1);
    }
  }).join();
}

TEST(ThreadPool, WakesWorkersThatWentToSleep) {
  ThreadPool pool(3);
  std::vector<int> counts(3, 0);
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    pool.run([&](int index) { ++counts[static_cast<size_t>(index)]; });
  }
  for (const int count : counts) EXPECT_EQ(count, 5);
}

TEST(ThreadPool, WaitsForTheSlowestWorker) {
  ThreadPool pool(2);
  bool done = false;
  pool.run([&](int index) {
    if (index == 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    done = true;
  });
  EXPECT_TRUE(done);
}

TEST(ThreadPool, ThrowsWhatWorkThrewOnceAllHaveReturned) {
  for (const int threads : {1, 3}) {
    ThreadPool pool(threads);
    for (int thrower = 0; thrower < threads; ++thrower) {
      std::atomic<int> returned{0};
      const auto work = [&](int index) {
        if (index == thrower) throw std::runtime_error("no");
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        ++returned;
      };
      EXPECT_THROW(pool.run(work), std::runtime_error);
      EXPECT_EQ(returned, threads - 1);
    }
    int runs = 0;
    pool.run([&](int index) { runs += index == 0; });  // and goes on
    EXPECT_EQ(runs, 1);
  }
}

TEST(ThreadPool, StartsAndEndsWithoutWork) {
  for (int i = 0; i < 50; ++i) ThreadPool pool(4);
}

TEST(ThreadPool, SplitCoversWithoutOverlapInMultiplesOfTheGrain) {
  for (const int64_t count : {0, 1, 5, 64, 1000}) {
    for (const int threads : {1, 2, 3, 7}) {
      int64_t next = 0;
      for (int i = 0; i < threads; ++i) {
        const auto range = ThreadPool::split(count, 4, i, threads);
        EXPECT_EQ(range.first, next);
        EXPECT_TRUE(range.last % 4 == 0 || range.last == count);
        next = range.last;
      }
      EXPECT_EQ(next, count);
    }
  }
}

}  // namespace
}  // namespace duan
