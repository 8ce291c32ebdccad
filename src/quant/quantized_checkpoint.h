// Quantized models as compressed-tensors stores them: which tensors a module becomes, what config.json says of them,
// and the folder of shards.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/writer.h"
#include "quant/modules.h"
#include "quant/recipe.h"

namespace duan::quant {

// The tensors of a quantized module, the codes first, then what accompanies them:
//   int8  weight I8 [N, K], weight_scale [N, 1], and with static inputs input_scale [1]
//   else  weight_packed I32 [N, K * bits / 32], weight_scale [N, groups], weight_shape I64 [2], and if it is not
//         symmetric weight_zero_point I32 [ceil(N * bits / 32), groups]
// Scales have the dtype of the source's weight. A tied table has the input scale of the head ("lm_head.input_scale")
// and once more the scales ("lm_head.weight_scale"): transformers reads its head as a module of its own.
std::vector<checkpoint::TensorSpec> module_tensors(const Module& module, const Recipe& recipe);

// The "quantization_config" of config.json.
// `untouched`: matrices beside those modules, which stay as they are: a vision tower's.
Json quantization_config(const std::vector<Module>& modules, const Recipe& recipe,
                         const std::vector<std::string>& untouched = {});

// The modules whose weights a tower's graph multiplies or looks up.
std::vector<std::string> matrices_of(const ir::Graph& tower);

// The text of a config.json with one more key at its end, or with another value for it; everything else stays as it is,
// byte for byte.
std::string with_quantization_config(const std::string& config, const Json& quantization_config,
                                     const std::string& where);

// A tensor of the output and how its bytes are made.
struct OutputTensor {
  checkpoint::TensorSpec spec;
  std::function<void(const checkpoint::ByteSink&)> write;
};

struct OutputFile {
  std::string name;
  uint64_t bytes;
};

// Copies a tensor in pieces; its pages leave memory behind it.
std::function<void(const checkpoint::ByteSink&)> copy_of(const checkpoint::TensorView& view,
                                                         std::function<void(std::span<const std::byte>)> release);

// model.safetensors, or shards of at most max_bytes of tensors each (one tensor at least) and their index. `progress`
// sees the bytes written.
std::vector<OutputFile> write_shards(const std::filesystem::path& folder, const std::vector<OutputTensor>& tensors,
                                     uint64_t max_bytes, const std::function<void(uint64_t bytes)>& progress);

uint64_t bytes_of(const checkpoint::TensorSpec& tensor);

}  // namespace duan::quant
