// The "quantization_config" of a config.json: which modules hold integer weights, and what their inputs are rounded to.
// Formats: compressed-tensors ("pack-quantized" and "int-quantized"), AutoAWQ ("gemm") and GPTQ.
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

// How codes, zero points and scales lie in the tensors.
enum class WeightStorage {
  compressed_tensors,
  awq,      // AutoAWQ "gemm": qweight, qzeros, scales, transposed
  gptq,     // the same names in another order of bits, and g_idx; zero points are stored minus 1
  gptq_v2,  // zero points are stored as they are
};
std::string_view storage_name(WeightStorage storage);  // "compressed-tensors", "AutoAWQ", "GPTQ", "GPTQ v2"

struct QuantizationConfig {
  std::vector<QuantizationScheme> schemes;  // of AutoAWQ and GPTQ: one; which modules it is for, their tensors say
  std::vector<std::string> ignore;          // as targets
  WeightStorage storage = WeightStorage::compressed_tensors;
  bool desc_act = false;  // GPTQ: g_idx may put columns into groups in any order

  bool is_transposed() const { return storage != WeightStorage::compressed_tensors; }  // AutoAWQ or GPTQ

  // How the module of this name and class ("Linear" | "Embedding") is quantized; nullptr: not at all. A name that is
  // listed wins over a pattern, a pattern over a class. Throws Error for a pattern that cannot be matched.
  const QuantizationScheme* scheme_of(std::string_view module, std::string_view module_class) const;

  bool operator==(const QuantizationConfig&) const = default;
};

// Throws Error naming the key that is missing, malformed or asks for arithmetic that is not supported. Keys of AutoAWQ
// and GPTQ that are unknown are warned about.
QuantizationConfig parse_quantization_config(const Json& json, const std::string& where);

}  // namespace duan::checkpoint
