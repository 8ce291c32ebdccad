// The graph op by op, as an engine and as a vision tower: what the planned ones are held against.
#include <algorithm>

#include "engine/checks.h"
#include "engine/image_encoder.h"
#include "engine/interpreter.h"

namespace duan::engine {
namespace {

class ReferenceEngine final : public Engine {
 public:
  ReferenceEngine(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint, const Options& options)
      : graph_(graph),
        checkpoint_(checkpoint),
        context_(options.context),
        chunk_(std::max<int64_t>(options.chunk, 1)),
        vocab_(ir::width(graph.value(graph.outputs.at(0)).type)),
        inputs_(graph),
        interpreter_(graph, checkpoint, options.context) {}

  std::span<const float> forward(std::span<const int64_t> ids) override {
    run(ids, {});
    return std::span(logits()).last(static_cast<size_t>(vocab_));
  }

  void forward_all(std::span<const int64_t> ids, const LogitsFn& logits) override { run(ids, logits); }

  void set_images(std::shared_ptr<const SequenceImages> images) override {
    check_sees_images(graph_, images.get());
    images_ = std::move(images);
  }

  void truncate(int64_t positions) override { position_ = std::clamp<int64_t>(positions, 0, position_); }
  int64_t position() const override { return position_; }
  int64_t context() const override { return context_; }
  void set_probe(Probe probe) override { interpreter_.set_probe(std::move(probe)); }
  Compute compute() const override { return Compute::fp32; }
  int threads() const override { return 1; }
  MemoryUse memory() const override {
    MemoryUse use{interpreter_.weight_bytes(), interpreter_.kv_bytes(), 0};
    for (const ir::ValueInfo& value : graph_.values) use.activation_bytes += ir::width(value.type) * chunk_ * 4;
    return use;
  }

 private:
  const std::vector<float>& logits() const { return interpreter_.value(graph_.outputs[0]); }

  void run(std::span<const int64_t> ids, const LogitsFn& logits_fn) {
    check_ids(ids, vocab_, position_, context_);
    const int64_t before = position_;
    try {
      for (size_t first = 0; first < ids.size(); first += static_cast<size_t>(chunk_)) {
        const auto chunk = ids.subspan(first, std::min(ids.size() - first, static_cast<size_t>(chunk_)));
        const auto rows = static_cast<int64_t>(chunk.size());
        interpreter_.run(inputs_.of(chunk, position_, images_.get()), rows, position_);
        check_logits(logits(), graph_, checkpoint_);
        for (int64_t r = 0; logits_fn && r < rows; ++r) {
          logits_fn(static_cast<int64_t>(first) + r,
                    std::span(logits()).subspan(static_cast<size_t>(r * vocab_), static_cast<size_t>(vocab_)));
        }
        position_ += rows;
      }
    } catch (...) {
      position_ = before;
      throw;
    }
  }

  const ir::Graph& graph_;
  const checkpoint::Checkpoint& checkpoint_;
  int64_t context_, chunk_, vocab_;
  DecoderInputs inputs_;
  Interpreter interpreter_;
  std::shared_ptr<const SequenceImages> images_;
  int64_t position_ = 0;
};

class ReferenceEncoder final : public ImageEncoder {
 public:
  ReferenceEncoder(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint)
      : graph_(graph), checkpoint_(checkpoint) {}

  ImageFeatures encode(const ImagePatches& image) override {
    const auto patches = static_cast<int64_t>(image.positions.size()) / 2;
    Interpreter interpreter(graph_, checkpoint_, patches);
    interpreter.set_probe(probe_);
    interpreter.run(encoder_inputs(graph_, image), patches, 0);
    ImageFeatures features{image.rows, image.columns, ir::width(graph_.value(graph_.outputs.at(0)).type), {}, {}};
    for (size_t i = 0; i < graph_.outputs.size(); ++i) {
      const std::vector<float>& rows = interpreter.value(graph_.outputs[i]);
      check_features(rows, checkpoint_);
      if (i == 0) {
        features.embeds = rows;
      } else {
        features.deepstack.push_back(rows);
      }
    }
    return features;
  }

  void set_probe(Probe probe) override { probe_ = std::move(probe); }

 private:
  const ir::Graph& graph_;
  const checkpoint::Checkpoint& checkpoint_;
  Probe probe_;
};

}  // namespace

std::unique_ptr<Engine> make_reference(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint,
                                       const Options& options) {
  return std::make_unique<ReferenceEngine>(graph, checkpoint, options);
}

std::unique_ptr<ImageEncoder> make_reference_encoder(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint) {
  return std::make_unique<ReferenceEncoder>(graph, checkpoint);
}

}  // namespace duan::engine
