#include "checkpoint/quantized_weight.h"

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "checkpoint/awq_gptq_weight.h"

namespace duan::checkpoint {
namespace {

class Reader {
 public:
  Reader(const Checkpoint& checkpoint, std::string module) : checkpoint_(checkpoint), module_(std::move(module)) {}

  bool has(const char* part) const { return checkpoint_.contains(module_ + part); }

  TensorView tensor(const char* part, const Shape& expected) const {
    const std::optional<TensorView> found = checkpoint_.find(module_ + part);
    if (!found) fail(part, fmt::format("is missing; expected shape {}", to_string(expected)));
    if (found->shape != expected) {
      fail(part, fmt::format("has shape {}, expected {}", to_string(found->shape), to_string(expected)));
    }
    return *found;
  }

  TensorView tensor(const char* part, const Shape& expected, DType dtype) const {
    const TensorView view = tensor(part, expected);
    if (view.dtype != dtype) {
      fail(part, fmt::format("has dtype {}, expected {}", dtype_name(view.dtype), dtype_name(dtype)));
    }
    return view;
  }

  Dense scales(const char* part, const Shape& expected) const {
    const TensorView view = tensor(part, expected);
    if (!is_float(view.dtype)) fail(part, fmt::format("has dtype {}, expected a float", dtype_name(view.dtype)));
    return {view.dtype, view.data};
  }

  [[noreturn]] void fail(const char* part, const std::string& what) const {
    throw Error(fmt::format("tensor \"{}{}\" {}", printable(module_), part, what), checkpoint_.folder().string(),
                "the checkpoint and its quantization_config do not fit together");
  }

 private:
  const Checkpoint& checkpoint_;
  std::string module_;
};

InputScheme input_scheme(const Checkpoint& checkpoint, const std::string& module, const QuantizationScheme& scheme) {
  InputScheme input{scheme.input};
  if (scheme.input != InputRounding::fixed) return input;
  const Reader reader(checkpoint, module);
  const Dense scale = reader.scales(".input_scale", {1});
  to_float(scale.dtype, scale.data, 1, &input.scale);
  if (!(input.scale > 0) || !std::isfinite(input.scale)) {
    reader.fail(".input_scale", fmt::format("is {}, expected a positive number", input.scale));
  }
  if (!scheme.input_symmetric) {
    input.zero_point = std::to_integer<int8_t>(*reader.tensor(".input_zero_point", {1}, DType::i8).data);
  }
  return input;
}

}  // namespace

std::string module_class(const std::string& module) {
  return module.ends_with("embed_tokens") || module.ends_with("pos_embed") ? "Embedding" : "Linear";
}

bool is_quantized(const Checkpoint& checkpoint, const std::string& module) {
  if (checkpoint.contains(module + ".weight_packed") || is_transposed(checkpoint, module)) return true;
  const std::optional<TensorView> weight = checkpoint.find(module + ".weight");
  return weight && weight->dtype == DType::i8;
}

Weight quantized_weight(const Checkpoint& checkpoint, const std::string& module, const Shape& expected,
                        const QuantizationScheme& scheme, const QuantizationScheme* head_scheme) {
  const Reader reader(checkpoint, module);
  const std::string name = module + ".weight";
  if (expected.size() != 2) reader.fail(".weight", "is quantized, expected plain numbers");
  const int64_t rows = expected[0], columns = expected[1];

  if (!scheme.packed) {
    const TensorView codes = reader.tensor(".weight", expected, DType::i8);
    Int8Channel format{codes.data, reader.scales(".weight_scale", {rows, 1}), {}};
    const bool tied_head = head_scheme != nullptr;
    format.input =
        tied_head ? input_scheme(checkpoint, "lm_head", *head_scheme) : input_scheme(checkpoint, module, scheme);
    return {name, expected, format};
  }

  const int64_t group_size = scheme.group_size == 0 ? columns : scheme.group_size;
  if (columns % group_size != 0 || columns * scheme.bits % 32 != 0) {
    reader.fail(".weight_packed", fmt::format("holds rows of {} codes: not a multiple of the group size {}, or not "
                                              "whole 32-bit words",
                                              columns, group_size));
  }
  const TensorView shape = reader.tensor(".weight_shape", {2});
  for (int64_t i = 0; i < 2; ++i) {
    int64_t stored = 0;
    if (shape.dtype == DType::i64) {
      std::memcpy(&stored, shape.data + i * 8, 8);
    } else if (shape.dtype == DType::i32) {
      int32_t narrow;
      std::memcpy(&narrow, shape.data + i * 4, 4);
      stored = narrow;
    } else {
      reader.fail(".weight_shape", fmt::format("has dtype {}, expected I64", dtype_name(shape.dtype)));
    }
    if (stored != expected[static_cast<size_t>(i)]) {
      reader.fail(".weight_shape",
                  fmt::format("says {} for axis {}, expected {}", stored, i, expected[static_cast<size_t>(i)]));
    }
  }
  if (reader.has(".weight_g_idx")) {
    reader.fail(".weight_g_idx", "is there: columns out of order are not supported");
  }
  IntGroup format{scheme.bits, group_size,
                  reader.tensor(".weight_packed", {rows, columns * scheme.bits / 32}, DType::i32).data,
                  reader.scales(".weight_scale", {rows, columns / group_size}), nullptr};
  if (!scheme.symmetric) {
    format.zero_points =
        reader.tensor(".weight_zero_point", {(rows * scheme.bits + 31) / 32, columns / group_size}, DType::i32).data;
  } else if (reader.has(".weight_zero_point")) {
    reader.fail(".weight_zero_point", "is there, but the scheme is symmetric");
  }
  return {name, expected, format};
}

}  // namespace duan::checkpoint
