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
                      const std::function<void(int64_t done)>& progress) {
  Mean loss;
  int64_t done = 0;
  for (const std::vector<int64_t>& ids : sequences) {
    if (ids.size() < 2) continue;
    engine.truncate(0);
    engine.forward_all(ids, [&](int64_t index, std::span<const float> logits) {
      if (progress) progress(++done);
      if (index + 1 == static_cast<int64_t>(ids.size())) return;
      loss.add(negative_log_likelihood(logits, ids[static_cast<size_t>(index) + 1]));
    });
  }
  engine.truncate(0);
  if (loss.count() == 0) throw Error("no sequence of two or more tokens to predict");
  return perplexity_of(loss);
}

}  // namespace duan::eval
