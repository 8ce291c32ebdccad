// The inputs and outputs of a decoder's session, held against what duan can feed.
#pragma once

#include <onnxruntime_cxx_api.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ort/model_folder.h"

namespace duan::ort {

// Keys or values of one layer, [1, kv_heads, positions, head_dim].
struct CacheTensor {
  std::string past, present;
  int64_t kv_heads = 0, head_dim = 0;
  bool f16 = false;       // else f32
  bool in_place = false;  // present may be the past's own buffer

  int64_t bytes_per_position() const { return kv_heads * head_dim * (f16 ? 2 : 4); }
};

struct Signature {
  bool attention_mask = false, position_ids = false;  // are inputs; of positions those with one coordinate
  bool rows_to_keep = false;                          // num_logits_to_keep is an optional input
  bool last_row_only = false;                         // logits [1, 1, vocab] whatever is fed
  bool f16_logits = false;                            // else f32
  std::vector<CacheTensor> caches;                    // key and value of layer 0, of layer 1, ...
};

inline constexpr const char* kRowsToKeep = "num_logits_to_keep";

// `in_place`: past -> present, as onnx::ModelFacts has it. Throws Error without `where`: an input duan cannot feed, an
// output that is missing, a type, rank or extent other than a decoder's. Of a decoder that sees images, whether there
// are embeddings, positions with three coordinates and deepstack rows of the folder's width is checked, too.
Signature read_signature(const Ort::Session& session, const ModelFolder& folder,
                         const std::map<std::string, std::string>& in_place);

}  // namespace duan::ort
