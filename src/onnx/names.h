// Names in the folders that an export writes: of files, and of the inputs and outputs that ir/graph.h does not name.
#pragma once

namespace duan::onnx {

inline constexpr const char* kModelFile = "model.onnx";
// Of a model that sees images, in place of that.
inline constexpr const char* kDecoderFile = "decoder_model_merged.onnx";
inline constexpr const char* kEmbeddingFile = "embed_tokens.onnx";
inline constexpr const char* kTowerFile = "vision_encoder.onnx";

inline constexpr const char* kInputsEmbeds = "inputs_embeds";
inline constexpr const char* kImageGrid = "image_grid_thw";
inline constexpr const char* kImageFeatures = "image_features";
inline constexpr const char* kDeepstackFeatures = "deepstack_features.";  // and the level

}  // namespace duan::onnx
