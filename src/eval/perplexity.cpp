#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace duan::eval {

double log_sum_exp(std::span<const float> logits) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  double total = 0;
  for (const float logit : logits) total += std::exp(logit - highest);
  return std::log(total) + highest;
}

double negative_log_likelihood(std::span<const float> logits, int64_t id) {
  return log_sum_exp(logits) - logits[static_cast<size_t>(id)];
}

Perplexity perplexity_of(const Mean& loss) {
  const double perplexity = std::exp(loss.value());
  const Interval interval = loss.interval();
  return {
      perplexity, perplexity * loss.standard_error(), {std::exp(interval.low), std::exp(interval.high)}, loss.count()};
}

Perplexity perplexity(engine::Engine& engine, const std::vector<std::vector<int64_t>>& sequences,
                      const std::function<void(int64_t done)>& progress, const Predicted& predicted) {
  Mean loss;
  int64_t done = 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const std::vector<int64_t>& ids = sequences[i];
    const std::vector<int64_t> positions = predicted_positions(predicted, i, ids.size());
    if (positions.empty()) continue;
    engine.truncate(0);
    auto next = positions.begin();
    engine.forward_all(ids, [&](int64_t index, std::span<const float> logits) {
      if (progress) progress(++done);
      if (next == positions.end() || *next != index + 1) return;
      loss.add(negative_log_likelihood(logits, ids[static_cast<size_t>(*next++)]));
    });
  }
  engine.truncate(0);
  if (loss.count() == 0) throw Error("no sequence of two or more tokens to predict");
  return perplexity_of(loss);
}

}  // namespace duan::eval
