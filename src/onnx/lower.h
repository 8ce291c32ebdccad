// From the graphs of a model to ONNX nodes, in one of the dialects of options.h.
#pragma once

#include "checkpoint/checkpoint.h"
#include "checkpoint/config.h"
#include "ir/graph.h"
#include "onnx/model.h"
#include "onnx/options.h"

namespace duan::onnx {

// Inputs, in this order: input_ids i64 [batch_size, sequence_length]; attention_mask i64 [batch_size,
// total_sequence_length], 1 for tokens to see, 0 for padding; with a KV cache and not in dialect `ort`, position_ids
// i64 [batch_size, sequence_length]; with a KV cache past_key_values.N.key and .value [batch_size, kv_heads,
// past_sequence_length, head_dim]; with Logits::all, num_logits_to_keep i64 [], which may be left out (0: all).
// Outputs: logits f32 [batch_size, sequence_length or num_logits_to_keep, vocab]; with a KV cache present.N.key and
// .value. Padding is on the left in onnx21 and onnx23; `ort` takes it on the right.
//
// The decoder of a model that sees images has in place of input_ids inputs_embeds f32 [batch_size, sequence_length,
// hidden], always position_ids i64 [3, batch_size, sequence_length] (frame, row, column), and
// deepstack_embeds.N f32 [batch_size, sequence_length, hidden], which are 0 where no image is. The context is unused.
//
// The model's external tensors read the checkpoint's mapped weights: it must outlive them. Requires context > 0 for
// `ort`. Throws Error if the graph does not fit the dialect.
Model lower(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint, const Options& options);

// What stands before that decoder: input_ids i64 [batch_size, sequence_length] -> inputs_embeds.
Model lower_embedding(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint, const Options& options);

// The vision tower. Inputs: pixel_values f32 [patches, values], in block-major order; image_grid_thw i64 [1, 3], in
// patches: frames, rows and columns of one image (1 frame) or one video, whose frames do not see each other. Outputs:
// image_features f32 [tokens, hidden], and deepstack_features.N of the same shape.
Model lower_tower(const ir::Graph& graph, const checkpoint::ModelConfig& config,
                  const checkpoint::Checkpoint& checkpoint, const Options& options);

}  // namespace duan::onnx
