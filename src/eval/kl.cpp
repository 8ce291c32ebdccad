#include "eval/kl.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/thread_pool.h"

namespace duan::eval {
namespace {

using Ids = std::vector<int64_t>;

constexpr int64_t kMostRows = 512;  // more would not make an engine faster

int64_t vocabulary(engine::Engine& engine) {
  engine.truncate(0);
  const int64_t id = 0;
  const auto size = static_cast<int64_t>(engine.forward({&id, 1}).size());
  engine.truncate(0);
  return size;
}

// Logits after each of `ids`, which continue the engine's sequence: rows [ids, vocab].
void read_rows(engine::Engine& engine, std::span<const int64_t> ids, int64_t vocab, std::vector<float>& rows) {
  engine.forward_all(ids, [&](int64_t index, std::span<const float> logits) {
    std::copy(logits.begin(), logits.end(), rows.begin() + index * vocab);
  });
}

}  // namespace

void check_sequences(const std::vector<Ids>& sequences, const Predicted& predicted, int64_t vocab, int64_t context) {
  bool any = false;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const Ids& ids = sequences[i];
    any = any || !predicted_positions(predicted, i, ids.size()).empty();
    if (static_cast<int64_t>(ids.size()) > context) {
      throw Error(fmt::format("a sequence of {} tokens does not fit a context of {}", ids.size(), context), "",
                  "enlarge the context with -c, or cut sequences with --window");
    }
    for (const int64_t id : ids) {
      if (id < 0 || id >= vocab) throw Error(fmt::format("token id {} is outside the vocabulary 0..{}", id, vocab - 1));
    }
  }
  if (!any) throw Error("no sequence of two or more tokens to predict");
}

TokenDivergence token_divergence(std::span<const float> reference, std::span<const float> model, int64_t next) {
  const double reference_total = log_sum_exp(reference), model_total = log_sum_exp(model);
  double kl = 0;
  size_t reference_top = 0, model_top = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double reference_log = reference[i] - reference_total, model_log = model[i] - model_total;
    kl += std::exp(reference_log) * (reference_log - model_log);
    if (reference[i] > reference[reference_top]) reference_top = i;
    if (model[i] > model[model_top]) model_top = i;
  }
  const auto id = static_cast<size_t>(next);
  // Rounding may leave a little less than nothing.
  return {std::max(kl, 0.0), model_total - model[id], reference_total - reference[id], reference_top == model_top};
}

Divergence divergence(engine::Engine& model, engine::Engine& reference, const std::vector<Ids>& sequences,
                      const std::function<void(int64_t done)>& progress, const Predicted& predicted) {
  const int64_t vocab = vocabulary(reference);
  if (const int64_t other = vocabulary(model); other != vocab) {
    throw Error(fmt::format("the model predicts {} tokens, the reference {}", other, vocab), "",
                "only models with the same vocabulary can be compared");
  }
  check_sequences(sequences, predicted, vocab, std::min(model.context(), reference.context()));
  const int64_t most_rows =
      std::clamp<int64_t>(kDivergenceBytes / (vocab * static_cast<int64_t>(sizeof(float))), 1, kMostRows);
  std::vector<float> model_rows(static_cast<size_t>(most_rows * vocab)), reference_rows(model_rows.size());
  std::vector<TokenDivergence> tokens(static_cast<size_t>(most_rows));
  ThreadPool pool(model.threads());

  Divergence result;
  Mean loss, reference_loss;
  int64_t same_top = 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const Ids& ids = sequences[i];
    const std::vector<int64_t> positions = predicted_positions(predicted, i, ids.size());
    if (positions.empty()) continue;
    model.truncate(0);
    reference.truncate(0);
    auto next = positions.begin();
    for (int64_t first = 0; next != positions.end(); first += most_rows) {
      const int64_t rows = std::min(most_rows, positions.back() - first);
      const auto piece = std::span(ids).subspan(static_cast<size_t>(first), static_cast<size_t>(rows));
      read_rows(reference, piece, vocab, reference_rows);
      read_rows(model, piece, vocab, model_rows);
      const auto here = next;  // the positions that these rows predict
      next = std::upper_bound(next, positions.end(), first + rows);
      const int64_t count = next - here;
      if (count == 0) continue;
      pool.run([&](int index) {
        const ThreadPool::Range range = ThreadPool::split(count, 1, index, pool.threads());
        for (int64_t token = range.first; token < range.last; ++token) {
          const int64_t position = here[token], row = position - 1 - first;
          const auto width = static_cast<size_t>(vocab);
          tokens[static_cast<size_t>(token)] =
              token_divergence({reference_rows.data() + row * vocab, width}, {model_rows.data() + row * vocab, width},
                               ids[static_cast<size_t>(position)]);
        }
      });
      for (int64_t t = 0; t < count; ++t) {
        const TokenDivergence& token = tokens[static_cast<size_t>(t)];
        result.kl.add(token.kl);
        result.sorted_kl.push_back(token.kl);
        loss.add(token.loss);
        reference_loss.add(token.reference_loss);
        result.loss_difference.add(token.loss - token.reference_loss);
        same_top += token.same_top ? 1 : 0;
      }
      if (progress) progress(result.kl.count());
    }
  }
  model.truncate(0);
  reference.truncate(0);
  std::sort(result.sorted_kl.begin(), result.sorted_kl.end());
  result.top1 = static_cast<double>(same_top) / static_cast<double>(result.kl.count());
  result.top1_interval = share_interval(same_top, result.kl.count());
  result.perplexity = perplexity_of(loss);
  result.reference_perplexity = perplexity_of(reference_loss);
  return result;
}

}  // namespace duan::eval
