// Element types, their names in safetensors files, and the two 16-bit floats.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace duan {

enum class DType : uint8_t { f32, f16, bf16, i8, u8, i32, i64, boolean };

size_t dtype_size(DType dtype);            // bytes of one element
std::string_view dtype_name(DType dtype);  // as safetensors spells it: "F32", "BF16", …
std::optional<DType> dtype_from_name(std::string_view name);
constexpr bool is_float(DType d) { return d == DType::f32 || d == DType::f16 || d == DType::bf16; }

// bfloat16 is the upper half of a float.
inline float bf16_to_float(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

// Rounds to nearest even; a NaN stays a (quiet) NaN.
inline uint16_t float_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

float f16_to_float(uint16_t bits);
uint16_t float_to_f16(float value);  // nearest even, overflow to infinity

}  // namespace duan
