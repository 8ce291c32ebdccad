// config.json and generation_config.json of a checkpoint folder, in the spellings of transformers 4 and 5.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "checkpoint/quantization_config.h"
#include "tensor/rope.h"

namespace duan::checkpoint {

// The vision tower of a Qwen3-VL: sizes are positive, heads divide the width and leave a head_dim that divides by 4.
struct VisionConfig {
  int64_t depth = 0, hidden_size = 0, intermediate_size = 0, num_heads = 0, in_channels = 0;
  int64_t patch_size = 0, temporal_patch_size = 0, spatial_merge_size = 0;
  int64_t num_position_embeddings = 0;            // a square: the table of positions has side position_side()
  int64_t out_hidden_size = 0;                    // of its rows: the decoder's hidden_size
  std::vector<int64_t> deepstack_visual_indexes;  // ascending; at most as many as the decoder has layers

  int64_t position_side() const;
  int64_t head_dim() const { return hidden_size / num_heads; }
  int64_t patch_values() const { return in_channels * temporal_patch_size * patch_size * patch_size; }
  int64_t merged_patches() const { return spatial_merge_size * spatial_merge_size; }
  bool operator==(const VisionConfig&) const = default;
};

// What stands for pictures among the tokens.
struct ImageTokens {
  int64_t image = 0, video = 0, vision_start = 0, vision_end = 0;
  bool operator==(const ImageTokens&) const = default;
};

// What defines a dense decoder. Sizes are positive and their products fit 48 bits; head_dim is even;
// num_attention_heads is a multiple of num_key_value_heads.
struct ModelConfig {
  std::string model_type;  // "qwen3", "qwen2", "llama" or "qwen3_vl"
  std::vector<std::string> architectures;
  int64_t vocab_size = 0, hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0;
  int64_t num_attention_heads = 0, num_key_value_heads = 0, head_dim = 0, max_position_embeddings = 0;
  double rms_norm_eps = 0;
  bool tie_word_embeddings = false;
  bool attention_bias = false;  // on q, k and v, never on o: true for qwen2, whose config does not say so
  Rope rope{};
  std::vector<int64_t> eos_token_ids;
  std::optional<int64_t> bos_token_id, pad_token_id;
  std::string dtype;  // "bfloat16", ...; empty if not stated
  std::optional<QuantizationConfig> quantization;
  std::optional<VisionConfig> vision;  // of qwen3_vl, as the next
  std::optional<ImageTokens> image_tokens;

  bool operator==(const ModelConfig&) const = default;
};

// Throws Error naming the key: missing, of a wrong type, out of range, or stating mathematics that are not supported.
// Keys that are unknown are warned about.
// read_config: if config.json says nothing about quantization, quant_config.json or quantize_config.json may.
ModelConfig read_config(const std::filesystem::path& folder);
ModelConfig parse_config(const Json& json, const std::string& where);
VisionConfig parse_vision_config(const Json& json, const std::string& where);

// Advice for sampling; what the file does not say is unset.
struct GenerationConfig {
  std::optional<bool> do_sample;
  std::optional<double> temperature;         // >= 0
  std::optional<int64_t> top_k;              // >= 0, 0 means off
  std::optional<double> top_p, min_p;        // in [0, 1]
  std::optional<double> repetition_penalty;  // > 0
  std::vector<int64_t> eos_token_ids;
  std::optional<int64_t> pad_token_id;
  std::optional<int64_t> max_new_tokens;  // >= 1

  bool operator==(const GenerationConfig&) const = default;
};

// Both files may be absent. End and padding tokens that generation_config.json lacks come from config.json.
GenerationConfig read_generation_config(const std::filesystem::path& folder);
GenerationConfig parse_generation_config(const Json& json, const std::string& where);

}  // namespace duan::checkpoint
