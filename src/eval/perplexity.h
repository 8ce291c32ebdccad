// Perplexity of given token sequences.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "eval/predicted.h"
#include "eval/statistics.h"

namespace duan::eval {

struct Perplexity {
  double perplexity;      // exp of the mean negative log-likelihood per predicted token
  double standard_error;  // of the perplexity, from the spread of the tokens' log-likelihoods; infinite for one token
  Interval interval;      // 95 %: exp of the log-likelihood's, so not symmetric
  int64_t tokens;         // predicted ones
};

// Every sequence is run from an empty cache; its first token is not predicted. `progress` sees the tokens done.
// Throws Error if there is no token to predict.
Perplexity perplexity(engine::Engine& engine, const std::vector<std::vector<int64_t>>& sequences,
                      const std::function<void(int64_t done)>& progress = {}, const Predicted& predicted = {});

Perplexity perplexity_of(const Mean& loss);  // of negative log-likelihoods

// log of the sum of exp(logits), in double.
double log_sum_exp(std::span<const float> logits);

// -log softmax(logits)[id].
double negative_log_likelihood(std::span<const float> logits, int64_t id);

}  // namespace duan::eval
