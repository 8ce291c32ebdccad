// A folder with an ONNX decoder: as `duan export` writes it, or ONNX Runtime GenAI's model builder. Beside a decoder
// that sees images stand the graphs of its embeddings and of its vision tower.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "checkpoint/config.h"

namespace duan::ort {

// What the graph calls its inputs and outputs; "%d" stands for the layer.
struct Names {
  std::string input_ids = "input_ids", attention_mask = "attention_mask", position_ids = "position_ids";
  std::string past_key = "past_key_values.%d.key", past_value = "past_key_values.%d.value";
  std::string logits = "logits";
  std::string present_key = "present.%d.key", present_value = "present.%d.value";
};

std::string layer_name(const std::string& pattern, int64_t layer);

struct ImageGraphs {
  std::filesystem::path embedding, tower;  // in the folder
  checkpoint::VisionConfig config;
};

struct ModelFolder {
  std::filesystem::path folder, file;         // the file is in the folder
  int64_t vocab_size = 0, context = 0;        // context: positions the graph was made for; both positive
  std::optional<int64_t> kv_heads, head_dim;  // of the KV cache, where genai_config.json says them
  Names names;
  std::optional<ImageGraphs> images;  // of a decoder that sees them; `names.input_ids` are the embedding's then

  // Reads genai_config.json; where there is none, config.json beside model.onnx or decoder_model_merged.onnx. The ONNX
  // files themselves are not read yet. Throws Error: none is there, a key is missing or of a wrong type, the file is
  // not one beside it, a graph of a decoder that sees images is missing.
  static ModelFolder open(const std::filesystem::path& folder);
};

bool holds_onnx_model(const std::filesystem::path& folder);  // genai_config.json or a decoder's file is there

// Advice for sampling and the end tokens: checkpoint::read_generation_config, or what genai_config.json says where
// that finds neither generation_config.json nor config.json. Throws Error.
checkpoint::GenerationConfig read_generation_config(const std::filesystem::path& folder);

}  // namespace duan::ort
