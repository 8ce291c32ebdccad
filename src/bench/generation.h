// Streaming generation as a user sees it: tokens per second while a sequence grows, with the KV cache and without.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/engine.h"

namespace duan::bench {

struct Window {
  int64_t first = 0;   // tokens generated before it
  int64_t tokens = 0;  // generated in it
  double seconds = 0;  // median of the repetitions

  double rate() const { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0; }
};

struct Generation {
  std::vector<Window> windows;  // of kWindow tokens, the last one of what is left
  std::vector<int64_t> ids;     // generated

  double rate() const;  // over all windows
  double last_over_first() const { return windows.back().rate() / windows.front().rate(); }
};

enum class KvCache { used, unused };

inline constexpr int64_t kWindow = 20;  // tokens

// Generates `tokens` ids greedily after `prompt` (both at least one; together they fit the context), going on where the
// model would end, `repetitions` times. A token's time is that of the forward pass that predicts it: of one row with
// the KV cache, of the whole sequence without. The prompt is run once before, to warm up. `progress` sees rows
// computed, of work() in all.
Generation generate(engine::Engine& engine, std::span<const int64_t> prompt, int64_t tokens, KvCache cache,
                    int repetitions, const std::function<void(int64_t rows)>& progress = {});
int64_t work(int64_t prompt, int64_t tokens, KvCache cache, int repetitions);

}  // namespace duan::bench
