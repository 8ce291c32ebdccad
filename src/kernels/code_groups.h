// A quantized weight as kernels read it: runs of codes along each row that share a scale and an offset,
// value = (code - offset) * scale in f32.
#pragma once

#include <cstdint>

#include "tensor/weight.h"

namespace duan::kernels {

struct CodeGroups {
  enum class Kind { i8, u8, u4 } kind;  // two u4 in a byte, low end first
  const std::byte* codes;               // [rows, columns]
  int64_t columns, group_size;          // group_size divides columns
  DType scale_dtype;
  const std::byte* scales;       // [rows, groups]
  const std::byte* zero_points;  // as IntGroup's; nullptr: every offset is the middle of the codes' range

  int bits() const { return kind == Kind::u4 ? 4 : 8; }
  int64_t groups() const { return columns / group_size; }
  int64_t row_bytes() const { return columns * bits() / 8; }
};

// Of a weight that is Int8Channel or IntGroup.
inline CodeGroups code_groups(const Weight& weight) {
  const int64_t columns = weight.columns();
  if (const auto* int8 = std::get_if<Int8Channel>(&weight.format)) {
    return {CodeGroups::Kind::i8, int8->codes, columns, columns, int8->scales.dtype, int8->scales.data, nullptr};
  }
  const auto& group = std::get<IntGroup>(weight.format);
  return {group.bits == 4 ? CodeGroups::Kind::u4 : CodeGroups::Kind::u8,
          group.codes,
          columns,
          group.group_size,
          group.scales.dtype,
          group.scales.data,
          group.zero_points};
}

}  // namespace duan::kernels
