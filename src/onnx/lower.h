// From the graph of a model to ONNX nodes, in one of the dialects of options.h.
#pragma once

#include "checkpoint/checkpoint.h"
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
// The model's external tensors read the checkpoint's mapped weights: it must outlive them. Requires context > 0 for
// `ort`. Throws Error if the graph does not fit the dialect.
Model lower(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint, const Options& options);

}  // namespace duan::onnx
