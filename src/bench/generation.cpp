#include "bench/generation.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "bench/bench.h"

namespace duan::bench {

double Generation::rate() const {
  Window all;
  for (const Window& window : windows) {
    all.tokens += window.tokens;
    all.seconds += window.seconds;
  }
  return all.rate();
}

int64_t work(int64_t prompt, int64_t tokens, KvCache cache, int repetitions) {
  return repetitions * (cache == KvCache::used ? tokens : tokens * prompt + tokens * (tokens - 1) / 2);
}

Generation generate(engine::Engine& engine, std::span<const int64_t> prompt, int64_t tokens, KvCache cache,
                    int repetitions, const std::function<void(int64_t rows)>& progress) {
  using Clock = std::chrono::steady_clock;
  DUAN_CHECK(!prompt.empty() && tokens > 0 && repetitions > 0, "{} tokens after a prompt of {}, {} times", tokens,
             prompt.size(), repetitions);
  const auto prompt_tokens = static_cast<int64_t>(prompt.size());
  Generation result;
  for (int64_t first = 0; first < tokens; first += kWindow) {
    result.windows.push_back({.first = first, .tokens = std::min(kWindow, tokens - first)});
  }
  std::vector<std::vector<double>> seconds(result.windows.size());

  engine.truncate(0);
  engine.forward(prompt);
  int64_t rows = 0;
  for (int run = 0; run < repetitions; ++run) {
    std::vector<int64_t> sequence(prompt.begin(), prompt.end());
    // The last row of the prompt is run again: it is the first token's own.
    engine.truncate(prompt_tokens - 1);
    for (size_t w = 0; w < seconds.size(); ++w) {
      const auto start = Clock::now();
      for (int64_t i = 0; i < result.windows[w].tokens; ++i) {
        if (cache == KvCache::unused) engine.truncate(0);
        const auto pending = std::span<const int64_t>(sequence).subspan(static_cast<size_t>(engine.position()));
        const std::span<const float> logits = engine.forward(pending);
        rows += static_cast<int64_t>(pending.size());
        sequence.push_back(std::max_element(logits.begin(), logits.end()) - logits.begin());
        if (progress) progress(rows);
      }
      seconds[w].push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
    result.ids.assign(sequence.begin() + prompt_tokens, sequence.end());
  }
  for (size_t w = 0; w < seconds.size(); ++w) result.windows[w].seconds = spread(seconds[w]).median;
  engine.truncate(0);
  return result;
}

}  // namespace duan::bench
