#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace duan::eval {

double negative_log_likelihood(std::span<const float> logits, int64_t id) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (const float logit : logits) total += std::exp(logit - highest);
  return std::log(total) + highest - logits[static_cast<size_t>(id)];
}

Perplexity perplexity(engine::Engine& engine, const std::vector<std::vector<int64_t>>& sequences,
                      const std::function<void(size_t done)>& progress) {
  double sum = 0, squares = 0;
  int64_t tokens = 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const std::vector<int64_t>& ids = sequences[i];
    if (ids.size() < 2) continue;
    engine.truncate(0);
    engine.forward_all(ids, [&](int64_t index, std::span<const float> logits) {
      if (index + 1 == static_cast<int64_t>(ids.size())) return;
      const double loss = negative_log_likelihood(logits, ids[static_cast<size_t>(index) + 1]);
      sum += loss;
      squares += loss * loss;
      ++tokens;
    });
    if (progress) progress(i + 1);
  }
  engine.truncate(0);
  if (tokens == 0) throw Error("no sequence of two or more tokens to predict");
  const auto n = static_cast<double>(tokens);
  const double mean = sum / n;
  const double variance = std::max(squares / n - mean * mean, 0.0);
  return {std::exp(mean), std::exp(mean) * std::sqrt(variance / n), tokens};
}

}  // namespace duan::eval
