// A pool for fork-join loops: the caller and n - 1 workers run one function, then all wait for each other.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace duan {

class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // >= 1; 1 means the caller alone
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls work(i) once for each i in [0, threads()) and returns when all have returned. Each has a thread of its own,
  // but where the system gives a worker no time the caller does its part, too: calls must not wait for each other. What
  // `work` throws is thrown again at the end, the first of it. `work` must not call run. One run at a time.
  void run(const std::function<void(int)>& work);

  // The part [first, last) of [0, count) that belongs to thread `index` of `threads`, in multiples of `grain`.
  struct Range {
    int64_t first, last;
  };
  static Range split(int64_t count, int64_t grain, int index, int threads);

 private:
  void loop(int index);
  // Does part `index` of the run, unless another thread has taken it.
  void take(int index, uint64_t run) noexcept;

  struct alignas(64) Part {             // a cache line each
    std::atomic<uint64_t> last_run{0};  // in which it was taken
  };
  std::vector<Part> parts_;
  std::vector<std::thread> workers_;
  std::atomic<uint64_t> generation_{0};  // counts runs; a worker waits until it changes
  std::atomic<int> pending_{0};          // parts that are not done
  std::atomic<bool> stop_{false};
  std::atomic<int> parked_{0};
  const std::function<void(int)>* work_ = nullptr;  // published by generation_; who has taken a part may read it
  std::mutex mutex_;
  std::exception_ptr failed_;  // of this run; guarded by mutex_ while it lasts
  std::condition_variable wake_;
};

}  // namespace duan
