// What the kernel tests share: operands from printed seeds, errors against the reference, names of list entries.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <random>
#include <span>
#include <string>

#include "base/cpu.h"
#include "kernels/load.h"
#include "support/guarded.h"
#include "tensor/dtype.h"

namespace duan::test {

// For a parametrised test over a kernel list: skips visibly what this processor cannot run.
#define DUAN_NEEDS_ISA(isa) \
  if (!::duan::cpu_has(isa)) GTEST_SKIP() << "this processor has no " << ::duan::isa_name(isa)

class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  int64_t whole(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(engine_); }
  float normal() { return normal_(engine_); }
  bool chance(double p) { return std::uniform_real_distribution<double>(0, 1)(engine_) < p; }

 private:
  std::mt19937 engine_;
  std::normal_distribution<float> normal_;
};

// Normal values stored as f32, f16 or bf16. With shift, `shift` unused bytes follow, which takes the elements out of
// alignment when the guard page comes after.
class Operand {
 public:
  Operand(int64_t count, DType dtype, Random& random, Guard guard = Guard::after, size_t shift = 0)
      : bytes_(static_cast<size_t>(count) * dtype_size(dtype) + shift, guard), dtype_(dtype) {
    for (int64_t i = 0; i < count; ++i) set(i, random.normal());
  }
  std::byte* data() { return bytes_.data(); }
  float at(int64_t i) const { return kernels::load_float(bytes_.data(), dtype_, i); }
  void set(int64_t i, float value) {
    if (dtype_ == DType::f16) {
      const uint16_t bits = float_to_f16(value);
      std::memcpy(data() + 2 * i, &bits, sizeof bits);
    } else {
      kernels::store_float(data(), dtype_, i, value);
    }
  }

 private:
  Guarded<std::byte> bytes_;
  DType dtype_;
};

// The sum of squared differences over the sum of squares. A NaN or an infinity must meet its like, and then counts as
// equal.
inline double nmse(std::span<const float> actual, std::span<const float> expected) {
  double difference = 0, size = 1e-30;
  for (size_t i = 0; i < actual.size(); ++i) {
    const bool special = !std::isfinite(expected[i]) || !std::isfinite(actual[i]);
    if (special) {
      const bool alike = std::isnan(expected[i]) ? std::isnan(actual[i]) : actual[i] == expected[i];
      if (!alike) return INFINITY;
      continue;
    }
    difference += std::pow(static_cast<double>(actual[i]) - expected[i], 2);
    size += std::pow(static_cast<double>(expected[i]), 2);
  }
  return difference / size;
}

inline bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

}  // namespace duan::test
