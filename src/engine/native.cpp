// The engine that runs plans: prompts in chunks, answers token by token.
#include <algorithm>

#include "base/cpu.h"
#include "engine/checks.h"
#include "engine/engine.h"
#include "engine/inputs.h"
#include "engine/runner.h"

namespace duan::engine {
namespace {

class NativeEngine final : public Engine {
 public:
  NativeEngine(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint, const Options& options)
      : graph_(graph),
        checkpoint_(checkpoint),
        precision_(choose_precision(graph, weights_of(checkpoint), options)),
        context_(options.context),
        vocab_(ir::width(graph.value(graph.outputs.at(0)).type)),
        inputs_(graph),
        runner_(make_plan(graph, weights_of(checkpoint), options, precision_, PlanRows::asked),
                KvCache(graph, options.context, precision_.kv_dtype),
                options.threads > 0 ? options.threads : cpu_count()) {}

  std::span<const float> forward(std::span<const int64_t> ids) override {
    check_ids(ids, vocab_, position_, context_);
    const auto count = static_cast<int64_t>(ids.size());
    for (int64_t first = 0; first < count; first += plan().chunk_rows) {
      const int64_t rows = std::min(plan().chunk_rows, count - first);
      run_chunk(ids, first, rows);
      if (first + rows == count) run_tail(rows - 1, 1);
    }
    const std::span<const float> logits(runner_.output(), static_cast<size_t>(vocab_));
    check_logits(logits, graph_, checkpoint_);
    position_ += count;
    return logits;
  }

  void forward_all(std::span<const int64_t> ids, const LogitsFn& logits_fn) override {
    check_ids(ids, vocab_, position_, context_);
    const auto count = static_cast<int64_t>(ids.size());
    for (int64_t first = 0; first < count; first += plan().chunk_rows) {
      const int64_t rows = std::min(plan().chunk_rows, count - first);
      run_chunk(ids, first, rows);
      for (int64_t row = 0; row < rows; row += plan().slice_rows) {
        const int64_t slice = std::min(plan().slice_rows, rows - row);
        run_tail(row, slice);
        for (int64_t r = 0; r < slice; ++r) {
          const std::span<const float> logits(runner_.output() + r * vocab_, static_cast<size_t>(vocab_));
          check_logits(logits, graph_, checkpoint_);
          logits_fn(first + row + r, logits);
        }
      }
    }
    position_ += count;
  }

  void set_images(std::shared_ptr<const SequenceImages> images) override {
    check_sees_images(graph_, images.get());
    images_ = std::move(images);
  }

  void truncate(int64_t positions) override { position_ = std::clamp<int64_t>(positions, 0, position_); }
  int64_t position() const override { return position_; }
  int64_t context() const override { return context_; }
  void set_probe(Probe probe) override { runner_.set_probe(std::move(probe)); }
  Compute compute() const override { return precision_.compute; }
  int threads() const override { return runner_.threads(); }
  MemoryUse memory() const override { return {plan().weight_bytes, runner_.kv_bytes(), plan().arena_bytes}; }

 private:
  const Plan& plan() const { return runner_.plan(); }

  void run_chunk(std::span<const int64_t> ids, int64_t first, int64_t rows) {
    const auto chunk = ids.subspan(static_cast<size_t>(first), static_cast<size_t>(rows));
    runner_.start({.inputs = inputs_.of(chunk, position_ + first, images_.get()), .position = position_ + first});
    runner_.run(0, plan().tail_begin, 0, rows);
  }

  void run_tail(int64_t first_row, int64_t rows) {
    runner_.run(plan().tail_begin, plan().steps.size(), first_row, rows);
  }

  const ir::Graph& graph_;
  const checkpoint::Checkpoint& checkpoint_;
  Precision precision_;
  int64_t context_, vocab_;
  DecoderInputs inputs_;
  std::shared_ptr<const SequenceImages> images_;
  Runner runner_;
  int64_t position_ = 0;
};

}  // namespace

std::unique_ptr<Engine> make_native(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint,
                                    const Options& options) {
  return std::make_unique<NativeEngine>(graph, checkpoint, options);
}

}  // namespace duan::engine
