// Scalar access to stored floats at any alignment.
#pragma once

#include <cstring>

#include "tensor/dtype.h"

namespace duan::kernels {

// Element `index` of an array of f32, f16 or bf16.
inline float load_float(const void* data, DType dtype, int64_t index) {
  const std::byte* at = static_cast<const std::byte*>(data) + index * (dtype == DType::f32 ? 4 : 2);
  if (dtype == DType::f32) {
    float value;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return dtype == DType::f16 ? f16_to_float(bits) : bf16_to_float(bits);
}

// Writes element `index` of an array of f32 or bf16.
inline void store_float(void* data, DType dtype, int64_t index, float value) {
  std::byte* at = static_cast<std::byte*>(data) + index * (dtype == DType::f32 ? 4 : 2);
  if (dtype == DType::f32) {
    std::memcpy(at, &value, sizeof value);
    return;
  }
  const uint16_t bits = float_to_bf16(value);
  std::memcpy(at, &bits, sizeof bits);
}

}  // namespace duan::kernels
