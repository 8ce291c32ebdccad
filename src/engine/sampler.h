// Choosing the next token.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <unordered_map>
#include <vector>

namespace duan::engine {

struct Sampling {
  double temperature = 0;         // 0: greedy
  int64_t top_k = 0;              // 0: all
  double top_p = 1;               // smallest set whose probability reaches top_p
  double min_p = 0;               // drops tokens below min_p times the most probable
  double repetition_penalty = 1;  // on tokens of prompt and answer: divides positive logits, multiplies negative ones
  double presence_penalty = 0;    // subtracted once from tokens of the answer
  double frequency_penalty = 0;   // subtracted per occurrence in the answer
  uint64_t seed = 0;
};

// Throws Error naming the flag if a value is out of range.
void check(const Sampling& sampling);

// Order as in transformers: penalties, temperature, top_k, top_p, min_p, softmax, sample.
class Sampler {
 public:
  // `has_token[id]` is false for rows of the vocabulary no token exists for: they are never chosen. Empty: all exist.
  Sampler(const Sampling& sampling, std::vector<bool> has_token);

  void observe_prompt(std::span<const int64_t> ids);

  // The next token, which then counts as part of the answer. `logits` are finite. Equal inputs and seed give equal
  // tokens.
  int64_t next(std::span<const float> logits);

 private:
  void penalize(std::vector<float>& logits) const;

  Sampling sampling_;
  std::vector<bool> has_token_;
  std::mt19937_64 random_;
  std::unordered_map<int64_t, int64_t> in_prompt_, in_answer_;  // occurrences
  std::vector<float> logits_;
  std::vector<std::pair<float, int64_t>> candidates_;  // (logit, id)
};

}  // namespace duan::engine
