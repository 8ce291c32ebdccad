// What every engine checks of its input and output.
#pragma once

#include <cstdint>
#include <span>

#include "checkpoint/checkpoint.h"
#include "engine/sequence_images.h"
#include "ir/graph.h"

namespace duan::engine {

// Throws Error if ids is empty, holds an id outside [0, vocab), or does not fit after `position` of `context`.
void check_ids(std::span<const int64_t> ids, int64_t vocab, int64_t position, int64_t context);

// Throws Error if there are images and the graph takes none.
void check_sees_images(const ir::Graph& graph, const SequenceImages* images);

// Throws Error if a logit is NaN or infinite; names the first weight that is not finite, if there is one.
void check_logits(std::span<const float> logits, const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint);

// Throws Error if a value that a vision tower made is NaN or infinite.
void check_features(std::span<const float> features, const checkpoint::Checkpoint& checkpoint);

}  // namespace duan::engine
