// An engine that takes what it is given in pieces of 5, 3, 1 and the rest.
#pragma once

#include <algorithm>
#include <utility>

#include "engine/engine.h"

namespace duan::test {

class InPieces final : public engine::Engine {
 public:
  explicit InPieces(engine::Engine& engine) : engine_(engine) {}

  std::span<const float> forward(std::span<const int64_t> ids) override {
    std::span<const float> logits;
    each_piece(ids, [&](std::span<const int64_t> piece, int64_t) { logits = engine_.forward(piece); });
    return logits;
  }
  void forward_all(std::span<const int64_t> ids, const engine::LogitsFn& logits_fn) override {
    each_piece(ids, [&](std::span<const int64_t> piece, int64_t first) {
      engine_.forward_all(piece, [&](int64_t i, std::span<const float> logits) { logits_fn(first + i, logits); });
    });
  }
  void set_images(std::shared_ptr<const engine::SequenceImages> images) override {
    engine_.set_images(std::move(images));
  }
  void truncate(int64_t positions) override { engine_.truncate(positions); }
  int64_t position() const override { return engine_.position(); }
  int64_t context() const override { return engine_.context(); }
  void set_probe(engine::Probe probe) override { engine_.set_probe(std::move(probe)); }
  engine::MemoryUse memory() const override { return engine_.memory(); }
  engine::Compute compute() const override { return engine_.compute(); }
  int threads() const override { return engine_.threads(); }

 private:
  template <typename Use>
  void each_piece(std::span<const int64_t> ids, const Use& use) {
    int64_t first = 0;
    for (const size_t size : {size_t{5}, size_t{3}, size_t{1}, ids.size()}) {
      const size_t piece = std::min(size, ids.size() - static_cast<size_t>(first));
      if (piece > 0) use(ids.subspan(static_cast<size_t>(first), piece), first);
      first += static_cast<int64_t>(piece);
    }
  }
  engine::Engine& engine_;
};

}  // namespace duan::test
