// The "quantization_config" of a config.json: which modules hold integer weights, and what their inputs are rounded to.
// Format: compressed-tensors ("pack-quantized" and "int-quantized").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/regex.h"
#include "tensor/weight.h"

namespace duan::checkpoint {

// One entry of config_groups.
struct QuantizationScheme {
  std::vector<std::string> targets;  // a module class ("Linear"), a module's name, or "re:" and a pattern
  int bits = 0;                      // of weights: 4 | 8
  bool symmetric = true;
  int64_t group_size = 0;  // columns that share a scale; 0: one scale a row
  bool packed = false;     // pack-quantized; else int-quantized
  InputRounding input = InputRounding::none;
  bool input_symmetric = true;

  bool operator==(const QuantizationScheme&) const = default;
};

struct QuantizationConfig {
  std::vector<QuantizationScheme> schemes;
  std::vector<std::string> ignore;  // as targets

  // How the module of this name and class ("Linear" | "Embedding") is quantized; nullptr: not at all. A name that is
  // listed wins over a pattern, a pattern over a class. Throws Error for a pattern that cannot be matched.
  const QuantizationScheme* scheme_of(std::string_view module, std::string_view module_class) const;

  bool operator==(const QuantizationConfig&) const = default;
};

// Throws Error naming the key that is missing, malformed or asks for arithmetic that is not supported.
QuantizationConfig parse_quantization_config(const Json& json, const std::string& where);

}  // namespace duan::checkpoint
