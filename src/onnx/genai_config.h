// genai_config.json: what ONNX Runtime GenAI reads to run an exported folder.
#pragma once

#include "base/json.h"
#include "checkpoint/config.h"
#include "onnx/options.h"

namespace duan::onnx {

// Requires options.kv_cache and options.context > 0. With int8_products, processors without instructions for such
// products are told to compute them exactly.
Json genai_config(const checkpoint::ModelConfig& config, const checkpoint::GenerationConfig& generation,
                  const Options& options, bool int8_products);

}  // namespace duan::onnx
