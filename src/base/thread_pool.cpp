#include "base/thread_pool.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace duan {
namespace {

// Decode runs ~5 short loops per layer: a worker that parks between them pays a futex wake each time.
constexpr int kSpins = 20'000;

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) : parts_(static_cast<size_t>(std::max(threads, 1))) {
  DUAN_CHECK(threads >= 1, "a pool of {} threads", threads);
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { loop(i); });
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  {
    const std::lock_guard lock(mutex_);
    generation_.fetch_add(1);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(const std::function<void(int)>& work) {
  if (workers_.empty()) {
    work(0);
    return;
  }
  work_ = &work;
  pending_.store(threads(), std::memory_order_relaxed);
  const uint64_t run = generation_.fetch_add(1) + 1;
  // Sequentially consistent with the worker's "parked_ += 1, then look at generation_ again": one of the two sees the
  // other.
  if (parked_.load() > 0) {
    { const std::lock_guard lock(mutex_); }
    wake_.notify_all();
  }
  // Other programs may keep a worker from running for milliseconds, many times as long as its part takes.
  for (int i = 0; i < threads(); ++i) take(i, run);
  for (int spins = 0; pending_.load(std::memory_order_acquire) > 0; ++spins) {
    // With more threads than processors a spinning caller would starve the worker it waits for.
    if (spins < kSpins) {
      relax();
    } else {
      std::this_thread::yield();
    }
  }
  if (failed_) std::rethrow_exception(std::exchange(failed_, nullptr));
}

void ThreadPool::take(int index, uint64_t run) noexcept {
  std::atomic<uint64_t>& taken = parts_[static_cast<size_t>(index)].last_run;
  // A worker may come with the number of a run that has ended; then all parts of it were taken.
  uint64_t last = taken.load(std::memory_order_relaxed);
  if (last >= run || !taken.compare_exchange_strong(last, run, std::memory_order_acq_rel)) return;
  try {
    (*work_)(index);
  } catch (...) {
    const std::lock_guard lock(mutex_);
    if (!failed_) failed_ = std::current_exception();
  }
  pending_.fetch_sub(1, std::memory_order_release);
}

void ThreadPool::loop(int index) {
  uint64_t seen = 0;
  while (true) {
    for (int spins = 0; generation_.load(std::memory_order_acquire) == seen && spins < kSpins; ++spins) relax();
    if (generation_.load(std::memory_order_acquire) == seen) {
      std::unique_lock lock(mutex_);
      parked_.fetch_add(1);
      wake_.wait(lock, [&] { return generation_.load() != seen; });
      parked_.fetch_sub(1);
    }
    if (stop_.load()) return;
    seen = generation_.load(std::memory_order_acquire);
    take(index, seen);
  }
}

ThreadPool::Range ThreadPool::split(int64_t count, int64_t grain, int index, int threads) {
  const int64_t grains = (count + grain - 1) / grain;
  const int64_t first = grains * index / threads * grain;
  const int64_t last = grains * (index + 1) / threads * grain;
  return {std::min(first, count), std::min(last, count)};
}

}  // namespace duan
