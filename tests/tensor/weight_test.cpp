#include "tensor/weight.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/error.h"

namespace duan {
namespace {

// The values as `dtype`, one byte off any alignment.
std::vector<std::byte> stored(DType dtype, const std::vector<float>& values) {
  std::vector<std::byte> bytes(1 + values.size() * dtype_size(dtype));
  for (size_t i = 0; i < values.size(); ++i) {
    std::byte* at = bytes.data() + 1 + i * dtype_size(dtype);
    if (dtype == DType::f32) {
      std::memcpy(at, &values[i], 4);
    } else {
      const uint16_t bits = dtype == DType::bf16 ? float_to_bf16(values[i]) : float_to_f16(values[i]);
      std::memcpy(at, &bits, 2);
    }
  }
  return bytes;
}

TEST(Weight, GivesRowsOfEveryFloatDtypeAtAnyAlignment) {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    const std::vector<std::byte> bytes = stored(dtype, {1, 2, 3, -4, 0.5, -0.25});
    const Weight weight{"w", {2, 3}, Dense{dtype, bytes.data() + 1}};
    EXPECT_EQ(weight.rows(), 2);
    EXPECT_EQ(weight.columns(), 3);
    EXPECT_EQ(weight.bytes(), 6 * dtype_size(dtype));
    std::vector<float> row(3);
    weight.row_to_float(1, row.data());
    EXPECT_EQ(row, (std::vector<float>{-4, 0.5, -0.25})) << dtype_name(dtype);
  }
}

TEST(Weight, AVectorIsOneRow) {
  const std::vector<std::byte> bytes = stored(DType::bf16, {1, 2, 3});
  const Weight weight{"w", {3}, Dense{DType::bf16, bytes.data() + 1}};
  EXPECT_EQ(weight.rows(), 1);
  std::vector<float> row(3);
  weight.row_to_float(0, row.data());
  EXPECT_EQ(row, (std::vector<float>{1, 2, 3}));
}

TEST(Weight, IntegersAreNoFloats) {
  const std::byte byte{};
  float out = 0;
  EXPECT_THROW(to_float(DType::i8, &byte, 1, &out), InternalError);
}

}  // namespace
}  // namespace duan
