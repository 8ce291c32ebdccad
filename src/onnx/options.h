// What the caller of the ONNX export chooses.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace duan::onnx {

// Which operators the graph is made of.
enum class Dialect {
  onnx21,  // opset 21, attention and norms from elementary operators: runs everywhere
  onnx23,  // opset 23: Attention, RMSNormalization, RotaryEmbedding
  ort,     // opset 21 and ONNX Runtime's own GroupQueryAttention (com.microsoft)
};
enum class Precision { fp32, fp16 };  // of activations, the KV cache and weights that are not quantized
enum class Logits { all, last };      // of which positions

std::string_view dialect_name(Dialect dialect);
std::optional<Dialect> dialect_from_name(std::string_view name);

struct Options {
  Dialect dialect = Dialect::ort;
  Precision precision = Precision::fp32;
  bool kv_cache = true;  // past and present as inputs and outputs; false: whole sequences only
  Logits logits = Logits::all;
  int64_t context = 0;  // positions the rotary tables of `ort` hold; 0: all the model was made for
};

}  // namespace duan::onnx
