#include "bench/bench.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <random>
#include <set>
#include <string>

#include "base/error.h"
#include "base/thread_pool.h"

namespace duan::bench {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

int64_t available_memory() {  // bytes; 0 if the system does not say
  std::ifstream in("/proc/meminfo");
  std::string key;
  for (int64_t kib = 0; in >> key >> kib; in.ignore(64, '\n')) {
    if (key == "MemAvailable:") return kib * 1024;
  }
  return 0;
}

// Eight sums, so that no addition waits for the one before it.
uint64_t sum_words(const uint64_t* words, int64_t count) {
  uint64_t sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (int lane = 0; lane < 8; ++lane) sums[lane] += words[i + lane];
  }
  for (; i < count; ++i) sums[0] += words[i];
  uint64_t total = 0;
  for (const uint64_t sum : sums) total += sum;
  return total;
}

}  // namespace

Spread spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  const double median = values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  return {median, values.front(), values.back()};
}

std::vector<int64_t> random_ids(int64_t count, int64_t vocab, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<int64_t> ids(static_cast<size_t>(count));
  for (int64_t& id : ids) id = static_cast<int64_t>(random() % static_cast<uint64_t>(vocab));
  return ids;
}

Spread prefill_rate(engine::Engine& engine, int64_t vocab, int64_t tokens, int repetitions) {
  const std::vector<int64_t> ids = random_ids(tokens, vocab, 1);
  std::vector<double> rates;
  for (int run = 0; run <= repetitions; ++run) {
    engine.truncate(0);
    const auto start = Clock::now();
    engine.forward(ids);
    if (run > 0) rates.push_back(static_cast<double>(tokens) / seconds_since(start));
  }
  return spread(std::move(rates));
}

Spread decode_rate(engine::Engine& engine, int64_t vocab, int64_t depth, int64_t tokens, int repetitions) {
  engine.truncate(0);
  if (depth > 0) engine.forward(random_ids(depth, vocab, 1));
  const std::vector<int64_t> ids = random_ids(tokens, vocab, 2);
  std::vector<double> rates;
  for (int run = 0; run <= repetitions; ++run) {
    engine.truncate(depth);
    const auto start = Clock::now();
    for (const int64_t id : ids) engine.forward({&id, 1});
    if (run > 0) rates.push_back(static_cast<double>(tokens) / seconds_since(start));
  }
  return spread(std::move(rates));
}

int64_t bytes_per_token(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint, const engine::Engine& engine,
                        int64_t position) {
  std::set<std::string> whole;  // weights that are read from end to end
  int64_t bytes = 0;
  for (const ir::Node& node : graph.nodes) {
    for (const ir::WeightId id : ir::weights_of(node.op)) {
      const ir::WeightInfo& info = graph.weight(id);
      const Weight weight = checkpoint.weight(info.name, info.shape);
      if (std::holds_alternative<ir::Embed>(node.op)) {
        bytes += static_cast<int64_t>(weight.bytes()) / weight.rows();
      } else if (whole.insert(info.name).second) {
        bytes += static_cast<int64_t>(weight.bytes());
      }
    }
  }
  return bytes + engine.memory().kv_bytes / engine.context() * position;
}

BandwidthProbe::BandwidthProbe() {
  const int64_t available = available_memory();
  const int64_t bytes = available > 0 ? std::min(kProbeBytes, available / 4) : kProbeBytes;
  words_.assign(static_cast<size_t>(bytes) / sizeof(uint64_t), 1);
}

double BandwidthProbe::measure(int threads) const {
  ThreadPool pool(threads);
  std::vector<uint64_t> sums(static_cast<size_t>(threads), 0);
  std::vector<double> rates;
  for (int pass = 0; pass < 3; ++pass) {
    const auto start = Clock::now();
    pool.run([&](int index) {
      const auto range = ThreadPool::split(static_cast<int64_t>(words_.size()), 512, index, threads);
      // Kept, so that the loop is not optimised away.
      sums[static_cast<size_t>(index)] += sum_words(words_.data() + range.first, range.last - range.first);
    });
    const double elapsed = seconds_since(start);
    // The sum is known: a pass that skipped something would show.
    uint64_t total = 0;
    for (const uint64_t sum : sums) total += sum;
    DUAN_CHECK(total == (static_cast<uint64_t>(pass) + 1) * words_.size(), "the probe summed {}", total);
    rates.push_back(static_cast<double>(bytes()) / elapsed);
  }
  return spread(std::move(rates)).median;
}

}  // namespace duan::bench
