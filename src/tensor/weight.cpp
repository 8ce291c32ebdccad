#include "tensor/weight.h"

#include <fmt/format.h>

#include <cstring>

#include "base/error.h"

namespace duan {
namespace {

float float_at(const Dense& dense, int64_t index) {
  float value;
  to_float(dense.dtype, dense.data + static_cast<size_t>(index) * dtype_size(dense.dtype), 1, &value);
  return value;
}

// Field `index` of `bits` bits in little-endian words, as a signed number stored plus 2^(bits-1).
int32_t field(const std::byte* words, int bits, int64_t index) {
  const auto byte = static_cast<int32_t>(words[index * bits / 8]);
  return bits == 8 ? byte - 128 : ((index % 2 == 0 ? byte : byte >> 4) & 15) - 8;
}

}  // namespace

void to_float(DType dtype, const std::byte* data, int64_t count, float* out) {
  if (dtype == DType::f32) {
    std::memcpy(out, data, static_cast<size_t>(count) * sizeof(float));
    return;
  }
  DUAN_CHECK(dtype == DType::bf16 || dtype == DType::f16, "{} is not a float dtype", dtype_name(dtype));
  for (int64_t i = 0; i < count; ++i) {
    uint16_t bits;
    std::memcpy(&bits, data + i * 2, sizeof bits);
    out[i] = dtype == DType::bf16 ? bf16_to_float(bits) : f16_to_float(bits);
  }
}

int32_t code_at(const IntGroup& weight, int64_t columns, int64_t row, int64_t column) {
  const int64_t words = (columns * weight.bits + 31) / 32;
  return field(weight.codes + row * words * 4, weight.bits, column);
}

int32_t zero_point_at(const IntGroup& weight, int64_t columns, int64_t row, int64_t group) {
  if (weight.zero_points == nullptr) return 0;
  const int64_t groups = columns / weight.group_size, per_word = 32 / weight.bits;
  return field(weight.zero_points + (row / per_word * groups + group) * 4, weight.bits, row % per_word);
}

int64_t Weight::columns() const {
  int64_t product = 1;
  for (size_t i = shape.size() >= 2 ? 1 : 0; i < shape.size(); ++i) product *= shape[i];
  return product;
}

size_t Weight::bytes() const {
  struct Bytes {
    const Weight& weight;
    size_t operator()(const Dense& dense) const {
      return static_cast<size_t>(*element_count(weight.shape)) * dtype_size(dense.dtype);
    }
    size_t operator()(const Int8Channel& w) const {
      return static_cast<size_t>(*element_count(weight.shape)) +
             static_cast<size_t>(weight.rows()) * dtype_size(w.scales.dtype);
    }
    size_t operator()(const IntGroup& w) const {
      const auto rows = static_cast<size_t>(weight.rows()), columns = static_cast<size_t>(weight.columns());
      const auto bits = static_cast<size_t>(w.bits), groups = columns / static_cast<size_t>(w.group_size);
      const size_t zero_points = w.zero_points == nullptr ? 0 : (rows * bits + 31) / 32 * groups * 4;
      return (columns * bits + 31) / 32 * 4 * rows + rows * groups * dtype_size(w.scales.dtype) + zero_points;
    }
  };
  return std::visit(Bytes{*this}, format);
}

void Weight::row_to_float(int64_t row, float* out) const {
  struct Convert {
    const Weight& weight;
    int64_t row;
    float* out;
    void operator()(const Dense& dense) const {
      const size_t stride = static_cast<size_t>(weight.columns()) * dtype_size(dense.dtype);
      to_float(dense.dtype, dense.data + static_cast<size_t>(row) * stride, weight.columns(), out);
    }
    void operator()(const Int8Channel& w) const {
      const float scale = float_at(w.scales, row);
      const std::byte* codes = w.codes + row * weight.columns();
      for (int64_t i = 0; i < weight.columns(); ++i) {
        out[i] = static_cast<float>(std::to_integer<int8_t>(codes[i])) * scale;
      }
    }
    void operator()(const IntGroup& w) const {
      const int64_t columns = weight.columns(), groups = columns / w.group_size;
      for (int64_t group = 0; group < groups; ++group) {
        const float scale = float_at(w.scales, row * groups + group);
        const int32_t zero_point = zero_point_at(w, columns, row, group);
        for (int64_t i = group * w.group_size; i < (group + 1) * w.group_size; ++i) {
          out[i] = static_cast<float>(code_at(w, columns, row, i) - zero_point) * scale;
        }
      }
    }
  };
  std::visit(Convert{*this, row, out}, format);
}

std::string format_name(const WeightFormat& format) {
  struct Name {
    std::string operator()(const Dense& w) const { return std::string(dtype_name(w.dtype)); }
    std::string operator()(const Int8Channel& w) const {
      switch (w.input.rounding) {
        case InputRounding::none:
          return "int8 per channel";
        case InputRounding::dynamic:
          return "int8 per channel, dynamic int8 input";
        case InputRounding::fixed:
          return "int8 per channel, static int8 input";
      }
      return "?";
    }
    std::string operator()(const IntGroup& w) const {
      return fmt::format("int{} in groups of {}{}", w.bits, w.group_size,
                         w.zero_points == nullptr ? "" : ", asymmetric");
    }
  };
  return std::visit(Name{}, format);
}

}  // namespace duan
