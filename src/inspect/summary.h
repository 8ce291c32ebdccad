// What a model is made of, read from its graph and its checkpoint.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "models/model.h"

namespace duan::inspect {

// Weights by what they do in the graph. A matrix used twice (a tied head) counts once, where it is used first.
struct Part {
  std::string name;  // "embedding", "attention", "mlp", "norms", "head", "vision": all of the tower
  int64_t parameters = 0;
  int64_t bytes = 0;  // as stored
};

struct Summary {
  int64_t layers = 0;                              // attention nodes
  int64_t hidden = 0, vocab = 0;                   // widths of the embedding and of the logits
  int64_t heads = 0, kv_heads = 0, head_dim = 0;   // of the first layer
  int64_t intermediate = 0;                        // what the second projection of an mlp reads
  bool head_tied = false;                          // the head multiplies by a matrix that the embedding reads, too
  std::vector<Part> parts;                         // those that the model has, in the order above
  std::map<std::string, int64_t> bytes_per_dtype;  // of the weights that the graph uses
  std::vector<checkpoint::TensorInfo> unused;      // tensors of the checkpoint that no node reads

  int64_t parameters() const;
  int64_t weight_bytes() const;
  int64_t unused_bytes() const;
};

Summary summarize(const models::Model& model);

// Memory at a context length: the weights, mapped, and the KV cache in either precision.
struct MemoryNeed {
  int64_t context;
  int64_t weights, kv_f32, kv_bf16;  // bytes
};
MemoryNeed memory_need(const models::Model& model, const Summary& summary, int64_t context);

std::string rope_text(const Rope& rope);  // "theta 1000000, yarn: factor 4, ..."

Json to_json(const models::Model& model, const Summary& summary, const MemoryNeed& memory);

}  // namespace duan::inspect
