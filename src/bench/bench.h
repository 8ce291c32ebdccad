// How fast an engine reads prompts and writes answers, and how fast this machine's memory lets it.
#pragma once

#include <cstdint>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "engine/engine.h"
#include "ir/graph.h"

namespace duan::bench {

struct Spread {
  double median, min, max;
};
Spread spread(std::vector<double> values);  // of at least one

// Ids in [0, vocab), equal for equal arguments.
std::vector<int64_t> random_ids(int64_t count, int64_t vocab, uint64_t seed);

// Tokens per second of a prompt of `tokens` ids from an empty cache; one run before the `repetitions` warms up.
Spread prefill_rate(engine::Engine& engine, int64_t vocab, int64_t tokens, int repetitions);

// Tokens per second of `tokens` single steps after `depth` ids in the cache; without sampling.
Spread decode_rate(engine::Engine& engine, int64_t vocab, int64_t depth, int64_t tokens, int repetitions);

// Bytes that must be read to compute one token after `position` others: every matrix and norm once, one row of an
// embedding that is not the head's matrix too, and the cached keys and values.
int64_t bytes_per_token(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint, const engine::Engine& engine,
                        int64_t position);

// A buffer that no cache holds, read from end to end.
class BandwidthProbe {
 public:
  BandwidthProbe();  // kProbeBytes, or a quarter of the free memory if that is less

  int64_t bytes() const { return static_cast<int64_t>(words_.size() * sizeof(uint64_t)); }
  double measure(int threads) const;  // bytes per second, median of three passes

 private:
  std::vector<uint64_t> words_;
};
inline constexpr int64_t kProbeBytes = int64_t{512} << 20;

}  // namespace duan::bench
