// A named weight and the format its numbers are stored in. Consumers visit the format; operations never know it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>

#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace duan {

// Plain rows of f32, f16 or bf16, row-major, contiguous; not aligned to more than 1 byte in general (mapped files).
struct Dense {
  DType dtype;
  const std::byte* data;
};

using WeightFormat = std::variant<Dense>;

struct Weight {
  std::string name;  // as in the checkpoint: "model.layers.0.self_attn.q_proj.weight"
  Shape shape;       // [out, in] for a matrix, [n] for a vector
  WeightFormat format;

  int64_t rows() const { return shape.size() == 2 ? shape[0] : 1; }
  int64_t columns() const { return shape.back(); }
  size_t bytes() const;

  // Row `row` as floats into out[columns()].
  void row_to_float(int64_t row, float* out) const;
};

// count elements of a float dtype at any alignment, converted.
void to_float(DType dtype, const std::byte* data, int64_t count, float* out);

}  // namespace duan
