#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace duan::engine {
namespace {

void require(bool ok, const char* flag, const char* expected) {
  if (!ok) throw Error(std::string("expected ") + expected, flag);
}

}  // namespace

void check(const Sampling& s) {
  require(std::isfinite(s.temperature) && s.temperature >= 0, "--temp", "a number >= 0");
  require(s.top_k >= 0, "--top-k", "an integer >= 0 (0: all)");
  require(s.top_p > 0 && s.top_p <= 1, "--top-p", "a number in (0, 1]");
  require(s.min_p >= 0 && s.min_p <= 1, "--min-p", "a number in [0, 1]");
  require(std::isfinite(s.repetition_penalty) && s.repetition_penalty > 0, "--repeat-penalty", "a number > 0");
  require(std::isfinite(s.presence_penalty) && std::abs(s.presence_penalty) <= 100, "--presence-penalty",
          "a number between -100 and 100");
  require(std::isfinite(s.frequency_penalty) && std::abs(s.frequency_penalty) <= 100, "--frequency-penalty",
          "a number between -100 and 100");
}

Sampler::Sampler(const Sampling& sampling, std::vector<bool> has_token)
    : sampling_(sampling), has_token_(std::move(has_token)), random_(sampling.seed) {
  check(sampling);
}

void Sampler::observe_prompt(std::span<const int64_t> ids) {
  for (const int64_t id : ids) ++in_prompt_[id];
}

void Sampler::penalize(std::vector<float>& logits) const {
  const auto size = static_cast<int64_t>(logits.size());
  if (sampling_.repetition_penalty != 1) {
    const auto penalty = static_cast<float>(sampling_.repetition_penalty);
    const auto apply = [&](int64_t id) {
      if (id < 0 || id >= size) return;
      float& logit = logits[static_cast<size_t>(id)];
      logit = logit > 0 ? logit / penalty : logit * penalty;
    };
    for (const auto& [id, count] : in_prompt_) apply(id);
    for (const auto& [id, count] : in_answer_) {
      if (!in_prompt_.contains(id)) apply(id);
    }
  }
  for (const auto& [id, count] : in_answer_) {
    logits[static_cast<size_t>(id)] -=
        static_cast<float>(sampling_.presence_penalty + sampling_.frequency_penalty * static_cast<double>(count));
  }
}

int64_t Sampler::next(std::span<const float> logits) {
  logits_.assign(logits.begin(), logits.end());
  penalize(logits_);
  for (size_t id = 0; id < logits_.size(); ++id) {
    if (!has_token_.empty() && (id >= has_token_.size() || !has_token_[id])) {
      logits_[id] = -std::numeric_limits<float>::infinity();
    }
  }

  int64_t chosen = std::max_element(logits_.begin(), logits_.end()) - logits_.begin();
  if (sampling_.temperature > 0) {
    candidates_.clear();
    const float best = logits_[static_cast<size_t>(chosen)];
    for (size_t id = 0; id < logits_.size(); ++id) {
      // exp of less than -100 is no part of any float sum of probabilities.
      const auto scaled = static_cast<float>((logits_[id] - best) / sampling_.temperature);
      if (scaled > -100) candidates_.emplace_back(scaled, static_cast<int64_t>(id));
    }
    // Equal logits keep the order of their ids, so the choice does not depend on the library's sort.
    const auto more_likely = [](const auto& a, const auto& b) {
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    };
    if (sampling_.top_k > 0 && sampling_.top_k < static_cast<int64_t>(candidates_.size())) {
      const auto keep = candidates_.begin() + sampling_.top_k;
      std::nth_element(candidates_.begin(), keep, candidates_.end(), more_likely);
      candidates_.erase(keep, candidates_.end());
    }
    std::sort(candidates_.begin(), candidates_.end(), more_likely);

    double total = 0;
    for (const auto& candidate : candidates_) total += std::exp(static_cast<double>(candidate.first));
    size_t kept = 0;
    double kept_total = 0;
    while (kept < candidates_.size()) {
      const double probability = std::exp(static_cast<double>(candidates_[kept].first));
      if (kept > 0 && (kept_total >= sampling_.top_p * total || probability < sampling_.min_p)) break;
      kept_total += probability;
      ++kept;
    }
    const double uniform = static_cast<double>(random_() >> 11) * 0x1p-53;  // [0, 1)
    double left = uniform * kept_total;
    chosen = candidates_[kept - 1].second;
    for (size_t i = 0; i < kept; ++i) {
      left -= std::exp(static_cast<double>(candidates_[i].first));
      if (left < 0) {
        chosen = candidates_[i].second;
        break;
      }
    }
  }
  ++in_answer_[chosen];
  return chosen;
}

}  // namespace duan::engine
