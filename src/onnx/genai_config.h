// genai_config.json: what ONNX Runtime GenAI reads to run an exported folder.
#pragma once

#include "base/json.h"
#include "checkpoint/config.h"
#include "onnx/options.h"

namespace duan::onnx {

// Requires options.kv_cache and options.context > 0.
Json genai_config(const checkpoint::ModelConfig& config, const checkpoint::GenerationConfig& generation,
                  const Options& options);

}  // namespace duan::onnx
