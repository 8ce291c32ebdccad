// The vision tower as a plan over all patches of an image at once.
#include "base/cpu.h"
#include "base/error.h"
#include "engine/checks.h"
#include "engine/image_encoder.h"
#include "engine/inputs.h"
#include "engine/runner.h"

namespace duan::engine {
namespace {

Options for_patches(const Options& options, int64_t patches) {
  Options whole = options;
  whole.context = whole.chunk = patches;
  return whole;
}

class NativeEncoder final : public ImageEncoder {
 public:
  NativeEncoder(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint, const Options& options)
      : graph_(graph), checkpoint_(checkpoint), options_(options) {}

  ImageFeatures encode(const ImagePatches& image) override {
    const auto patches = static_cast<int64_t>(image.positions.size()) / 2;
    const Options options = for_patches(options_, patches);
    const WeightSource weights = weights_of(checkpoint_);
    const Precision precision = choose_precision(graph_, weights, options);
    Runner runner(make_plan(graph_, weights, options, precision, PlanRows::all),
                  KvCache(graph_, patches, precision.kv_dtype), options.threads > 0 ? options.threads : cpu_count());
    runner.set_probe(probe_);
    const std::vector<InputRows> inputs = encoder_inputs(graph_, image);
    runner.start({.inputs = inputs});
    runner.run(0, runner.plan().steps.size(), 0, patches);

    ImageFeatures features{image.rows, image.columns, ir::width(graph_.value(graph_.outputs.at(0)).type), {}, {}};
    for (size_t i = 0; i < graph_.outputs.size(); ++i) {
      const float* rows = runner.output(i);
      std::vector<float> copy(rows, rows + features.tokens() * features.width);
      check_features(copy, checkpoint_);
      if (i == 0) {
        features.embeds = std::move(copy);
      } else {
        features.deepstack.push_back(std::move(copy));
      }
    }
    return features;
  }

  void set_probe(Probe probe) override { probe_ = std::move(probe); }

 private:
  const ir::Graph& graph_;
  const checkpoint::Checkpoint& checkpoint_;
  Options options_;
  Probe probe_;
};

}  // namespace

std::unique_ptr<ImageEncoder> make_native_encoder(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint,
                                                  const Options& options) {
  return std::make_unique<NativeEncoder>(graph, checkpoint, options);
}

int64_t encoder_bytes(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint, const Options& options,
                      int64_t patches) {
  const Options whole = for_patches(options, patches);
  const WeightSource weights = weights_of(checkpoint);
  const Precision precision = choose_precision(graph, weights, whole);
  return make_plan(graph, weights, whole, precision, PlanRows::all).arena_bytes +
         KvCache::bytes_for(graph, patches, precision.kv_dtype);
}

}  // namespace duan::engine
