#include "quant/module_writer.h"

#include <cstring>

namespace duan::quant {

using checkpoint::ByteSink;
using checkpoint::TensorSpec;

void store(std::span<const float> values, DType dtype, std::byte* to) {
  if (dtype == DType::f32) {
    std::memcpy(to, values.data(), values.size_bytes());
    return;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t bits = dtype == DType::bf16 ? float_to_bf16(values[i]) : float_to_f16(values[i]);
    std::memcpy(to + i * 2, &bits, 2);
  }
}

std::vector<std::byte> as_stored(std::span<const float> values, DType dtype) {
  std::vector<std::byte> bytes(values.size() * dtype_size(dtype));
  store(values, dtype, bytes.data());
  return bytes;
}

void ModuleWriter::add(const RoundedRows& piece, const ByteSink& sink) {
  std::vector<uint32_t> words(static_cast<size_t>(module_.shape[1] * recipe_.weights.bits / 32));
  for (const RoundedRow& row : piece.rows) {
    scales_.insert(scales_.end(), row.scales.begin(), row.scales.end());
    if (recipe_.packed()) {
      pack_codes(row.codes, recipe_.weights.bits, words);
      sink(std::as_bytes(std::span(words)));
      zero_points_.insert(zero_points_.end(), row.zero_points.begin(), row.zero_points.end());
    } else {
      sink(std::as_bytes(std::span(row.codes)));
    }
  }
}

void ModuleWriter::write(const TensorSpec& spec, const ByteSink& sink) const {
  if (spec.name.ends_with(".weight_scale")) {
    sink(as_stored(scales_, module_.dtype));
  } else if (spec.name.ends_with(".input_scale")) {
    sink(as_stored(std::span(&*input_scale_, 1), module_.dtype));
  } else if (spec.name.ends_with(".weight_shape")) {
    sink(std::as_bytes(std::span(module_.shape)));
  } else {
    write_zero_points(sink);
  }
}

// Packed along the rows.
void ModuleWriter::write_zero_points(const ByteSink& sink) const {
  const auto rows = static_cast<size_t>(module_.shape[0]), groups = zero_points_.size() / rows;
  const size_t per_word = 32 / static_cast<size_t>(recipe_.weights.bits);
  const size_t word_rows = (rows + per_word - 1) / per_word;
  std::vector<uint32_t> words(word_rows * groups, 0);
  const int32_t offset = 1 << (recipe_.weights.bits - 1);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t g = 0; g < groups; ++g) {
      const auto stored = static_cast<uint32_t>(zero_points_[r * groups + g] + offset);
      words[r / per_word * groups + g] |= stored << (r % per_word * static_cast<size_t>(recipe_.weights.bits));
    }
  }
  sink(std::as_bytes(std::span(words)));
}

}  // namespace duan::quant
