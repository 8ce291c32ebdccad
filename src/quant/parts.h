// Sharing a loop out over threads, unless it is too small to be worth waking them.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/thread_pool.h"

namespace duan::quant {

// Operations below which one thread is faster.
inline constexpr int64_t kParallelWork = 1 << 18;

// work(begin, end, thread) over [0, count), in multiples of `grain`; `cost` is what all of it takes.
template <typename Work>
void for_parts(ThreadPool& pool, int64_t count, int64_t grain, int64_t cost, const Work& work) {
  if (pool.threads() == 1 || cost < kParallelWork) return work(int64_t{0}, count, 0);
  pool.run([&](int thread) {
    const auto [begin, end] = ThreadPool::split(count, grain, thread, pool.threads());
    if (begin < end) work(begin, end, thread);
  });
}

// work(task) for each of [0, tasks), by whichever thread is free: for tasks of unequal sizes.
template <typename Work>
void for_tasks(ThreadPool& pool, int64_t tasks, int64_t cost, const Work& work) {
  std::atomic<int64_t> next{0};
  const auto take = [&](int) {
    for (int64_t task = next++; task < tasks; task = next++) work(task);
  };
  pool.threads() == 1 || tasks == 1 || cost < kParallelWork ? take(0) : pool.run(take);
}

}  // namespace duan::quant
