// What loaders ask of the quantization_config of a compressed-tensors checkpoint.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/quantization_config.h"
#include "inspect/loader_checks.h"

namespace duan::inspect {

struct LoaderChecks {
  std::vector<LoaderCheck> list;

  // One requirement: `good` says what is there if it is met.
  void require(bool met, const std::string& what, const std::string& good, const std::string& found,
               const std::string& expected, const std::string& advice);
  void note(const std::string& what, const std::string& found);
};

// The schemes as far as they could be read; what is malformed has failed a check and is left out.
struct LoaderSchemes {
  bool quantized = false;  // there is a quantization_config
  bool packed = false;     // pack-quantized, else int-quantized
  bool kv_cache = false;   // it asks for scales of the KV cache
  checkpoint::QuantizationConfig config;
};

// `json`: the quantization_config; null: the checkpoint is not quantized.
LoaderSchemes check_config(const Json& json, const LoaderOptions& options, LoaderChecks& checks);

}  // namespace duan::inspect
