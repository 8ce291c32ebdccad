// How far a model's predictions are from a reference model's: Kullback-Leibler divergence, token by token.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "eval/perplexity.h"
#include "eval/statistics.h"

namespace duan::eval {

// What two predictions of one token say. Logarithms are natural.
struct TokenDivergence {
  double kl;                    // sum over the vocabulary of p_reference * (log p_reference - log p_model); >= 0
  double loss, reference_loss;  // negative log-likelihood of the token that follows
  bool same_top;                // the most probable token is the same
};

// Logits [vocab] of both models, the id that follows. Softmax in double over all of the vocabulary, rows that pad it
// included: a model defines them like any other.
TokenDivergence token_divergence(std::span<const float> reference, std::span<const float> model, int64_t next);

// What divergence() demands of its sequences, to be asked before hours of other work. Throws Error.
void check_sequences(const std::vector<std::vector<int64_t>>& sequences, const Predicted& predicted, int64_t vocab,
                     int64_t context);

struct Divergence {
  Mean kl;
  std::vector<double> sorted_kl;  // of every token, ascending
  double top1 = 0;                // tokens whose most probable prediction is the reference's, as a part of all
  Interval top1_interval{0, 1};   // 95 %, by Wilson's score
  Perplexity perplexity, reference_perplexity;
  Mean loss_difference;  // model - reference: the log of the ratio of perplexities
};

// Runs both engines side by side, a few rows of logits at a time: kDivergenceBytes of each are kept at most (one row at
// least). Every sequence starts from empty caches; its first token is not predicted. `progress` sees the tokens
// predicted. Throws Error if the engines' vocabularies differ in size, an id is not in them, a sequence does not fit
// the contexts, or there is no token to predict.
Divergence divergence(engine::Engine& model, engine::Engine& reference,
                      const std::vector<std::vector<int64_t>>& sequences,
                      const std::function<void(int64_t done)>& progress = {}, const Predicted& predicted = {});

inline constexpr int64_t kDivergenceBytes = int64_t{64} << 20;

}  // namespace duan::eval
