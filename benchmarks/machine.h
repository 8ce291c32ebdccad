// What the machine can do at best: the yardsticks that kernel figures are given as a percentage of.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/thread_pool.h"

namespace duan::bench {

// The shortest of several runs in seconds. The others were disturbed.
inline double best_seconds(const std::function<void()>& work, int runs) {
  double best = 1e30;
  for (int i = 0; i < runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    if (taken.count() < best) best = taken.count();
  }
  return best;
}

// Bytes per second of plain reads of `bytes` of memory, divided over the pool's threads. `bytes` far above the caches.
inline double read_bandwidth(ThreadPool& pool, size_t bytes = size_t{512} << 20, int runs = 4) {
  const std::vector<uint64_t> data(bytes / sizeof(uint64_t), 1);
  std::vector<uint64_t> sums(static_cast<size_t>(pool.threads()) * 8);
  const double seconds = best_seconds(
      [&] {
        pool.run([&](int index) {
          const auto [first, last] = ThreadPool::split(static_cast<int64_t>(data.size()), 4096, index, pool.threads());
          uint64_t sum[8] = {};
          for (int64_t i = first; i + 8 <= last; i += 8) {
            for (int j = 0; j < 8; ++j) sum[j] += data[static_cast<size_t>(i + j)];
          }
          for (int j = 0; j < 8; ++j) sums[static_cast<size_t>(index * 8)] += sum[j];
        });
      },
      runs);
  volatile uint64_t sink = 0;
  for (const uint64_t sum : sums) sink = sink + sum;
  return static_cast<double>(bytes) / seconds;
}

// Operations per second of independent multiply-adds in registers on `threads` threads: fp32 FMA in the widest set this
// processor has, products of bf16 pairs (0 where it has none), and products of int8 codes as the kernels of the widest
// set make them: vpdpbusd, or vpmaddwd and vpaddd on widened codes.
struct Peaks {
  double fp32, bf16, int8;
};
Peaks register_peaks(ThreadPool& pool);

}  // namespace duan::bench
