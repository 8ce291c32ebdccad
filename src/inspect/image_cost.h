// What showing a picture to a model costs.
#pragma once

#include <cstdint>

#include "base/json.h"
#include "engine/engine.h"
#include "models/model.h"
#include "vision/preprocessor.h"

namespace duan::inspect {

struct ImageCost {
  vision::Size size, resized;  // of the picture, and as the tower sees it; pixels
  int64_t patches, tokens;
  int64_t pixel_bytes;   // its patches in f32
  int64_t tower_bytes;   // buffers of the native tower, while it runs
  int64_t row_bytes;     // what the tower leaves: rows for the tokens, and deepstack's
  int64_t kv_bytes;      // of its tokens in the KV cache
  int64_t prompt_bytes;  // buffers of the decoder for a chunk of the prompt
  // Most that the process holds for this picture beside the weights: the tower's phase or the decoder's.
  int64_t peak_bytes() const;
};

// For the native engine with these options. Throws Error: the model sees no images, or a size no picture may have.
ImageCost image_cost(const models::Model& model, const vision::PreprocessorConfig& preprocessor, vision::Size size,
                     const engine::Options& options);

Json to_json(const ImageCost& cost);

}  // namespace duan::inspect
