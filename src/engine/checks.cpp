#include "engine/checks.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.h"
#include "engine/inputs.h"

namespace duan::engine {

void check_ids(std::span<const int64_t> ids, int64_t vocab, int64_t position, int64_t context) {
  if (ids.empty()) throw Error("no token ids to run");
  for (const int64_t id : ids) {
    if (id < 0 || id >= vocab) throw Error(fmt::format("token id {} is outside the vocabulary 0..{}", id, vocab - 1));
  }
  if (static_cast<int64_t>(ids.size()) > context - position) {
    throw Error(
        fmt::format("{} tokens do not fit: {} of the context's {} positions are taken", ids.size(), position, context),
        "", "enlarge the context with -c, or shorten the prompt");
  }
}

void check_sees_images(const ir::Graph& graph, const SequenceImages* images) {
  if (images == nullptr || images->images().empty() || DecoderInputs::sees_images(graph)) return;
  throw Error(fmt::format("a model of type {} sees no images", graph.name), "", "choose a Qwen3-VL model");
}

void check_logits(std::span<const float> logits, const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint) {
  const auto finite = [](float value) { return std::isfinite(value); };
  if (std::all_of(logits.begin(), logits.end(), finite)) return;
  // Looking for the cause here, not at load, keeps loading an mmap.
  for (const ir::WeightInfo& info : graph.weights) {
    const Weight weight = checkpoint.weight(info.name, info.shape);
    std::vector<float> row(static_cast<size_t>(weight.columns()));
    for (int64_t r = 0; r < weight.rows(); ++r) {
      weight.row_to_float(r, row.data());
      if (std::all_of(row.begin(), row.end(), finite)) continue;
      throw Error(fmt::format("row {} of the weight {} is not finite", r, info.name), checkpoint.folder().string(),
                  "the file is damaged or was converted wrongly; fetch it again");
    }
  }
  throw Error("the logits are not finite although all weights are", checkpoint.folder().string(),
              "activations overflow: try --compute fp32");
}

void check_features(std::span<const float> features, const checkpoint::Checkpoint& checkpoint) {
  if (std::all_of(features.begin(), features.end(), [](float value) { return std::isfinite(value); })) return;
  throw Error("what the vision tower makes of an image is not finite", checkpoint.folder().string(),
              "a weight of it is damaged, or activations overflow: try --compute fp32");
}

}  // namespace duan::engine
