// An engine held against reference outputs.
//
// A golden file (safetensors) holds input_ids i64[n] and logits f32[n, vocab] (or a batch of both: [b, n] and [b, n,
// vocab]), or for every 4th position
// f32[ceil(n/4), vocab] and logits_last f32[vocab]; optionally greedy_ids i64[m] (continuation with no stop at the end
// token), and layer_in.<i>, last_layer_out, final_norm f32[n, hidden].
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/engine.h"
#include "engine/sequence_images.h"
#include "models/model.h"

namespace duan::eval {

struct Comparison {
  double max_abs = 0;            // largest |difference| of a logit
  double rms = 0;                // root mean square difference
  double rel_l2 = 0;             // |difference| / |golden| over all logits
  double logit_std = 0;          // standard deviation of the golden's logits
  double top1 = 1;               // positions whose largest logit is the golden's
  bool greedy_equal = true;      // also if the golden has no greedy_ids
  std::string first_divergence;  // the first node or golden tensor beyond the tolerance, "" if none
};

// Pictures of a case, each list in order: what the tower made of them.
struct CaseImages {
  std::vector<std::shared_ptr<const engine::ImageFeatures>> images, frames;  // frames: pairs of a video's
  bool empty() const { return images.empty() && frames.empty(); }
};

// Runs the case from an empty sequence. Layer tensors count as divergent beyond `tolerance`; if logits are, and `peer`
// is given, both engines run once more and the first node whose values differ by more than the tolerance is named.
// With images, vision_features [tokens of all images, hidden], deepstack.<k> of the same shape, position_ids [3, n] and
// rope_delta of the golden are looked at, too, where it has them: the first is named that differs by more than the
// tolerance, or at all. Throws Error if the file lacks a tensor, a shape does not fit the model, or the images not the
// ids.
Comparison compare(const models::Model& model, engine::Engine& engine, const std::filesystem::path& golden,
                   double tolerance, engine::Engine* peer = nullptr, const CaseImages& images = {});

// The same for an engine that runs no graph of ours: nothing is seen of its layers.
Comparison compare(const checkpoint::ModelConfig& config, engine::Engine& engine, const std::filesystem::path& golden,
                   double tolerance, const CaseImages& images = {});
Comparison compare(int64_t vocab, engine::Engine& engine, const std::filesystem::path& golden, double tolerance);

Json to_json(const Comparison& comparison);

}  // namespace duan::eval
