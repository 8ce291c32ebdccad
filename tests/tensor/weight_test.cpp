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

TEST(Weight, Int8RowsAreCodesTimesTheRowsScale) {
  const std::vector<std::byte> codes{std::byte{1}, std::byte{0xFF}, std::byte{127}, std::byte{0x80}};
  const std::vector<std::byte> scales = stored(DType::bf16, {0.5, 2});
  const Weight weight{"w", {2, 2}, Int8Channel{codes.data(), {DType::bf16, scales.data() + 1}, {}}};
  std::vector<float> row(2);
  weight.row_to_float(0, row.data());
  EXPECT_EQ(row, (std::vector<float>{0.5, -0.5}));
  weight.row_to_float(1, row.data());
  EXPECT_EQ(row, (std::vector<float>{254, -256}));
  EXPECT_EQ(weight.bytes(), 4u + 4u);
  EXPECT_EQ(format_name(weight.format), "int8 per channel");
}

TEST(Weight, PackedCodesAreLowEndFirstAndZeroPointsLieAlongRows) {
  // Two rows of 8 codes of 4 bits, groups of 4; codes -8 .. 7 stored plus 8.
  const std::vector<std::byte> codes{std::byte{0x10}, std::byte{0x32}, std::byte{0x54}, std::byte{0x76},
                                     std::byte{0x98}, std::byte{0xBA}, std::byte{0xDC}, std::byte{0xFE}};
  const std::vector<std::byte> scales = stored(DType::f32, {1, 2, 0.5, 4});
  // Word (0, group): nibble of row 0, then of row 1.
  std::vector<std::byte> zero_points(8);
  zero_points[0] = std::byte{0x98};  // group 0: row 0 has 0, row 1 has 1
  zero_points[4] = std::byte{0x76};  // group 1: row 0 has -2, row 1 has -1
  Weight weight{"w", {2, 8}, IntGroup{4, 4, codes.data(), {DType::f32, scales.data() + 1}, nullptr}};
  std::vector<float> row(8);
  weight.row_to_float(0, row.data());
  EXPECT_EQ(row, (std::vector<float>{-8, -7, -6, -5, -8, -6, -4, -2}));
  EXPECT_EQ(weight.bytes(), 8u + 16u);
  std::get<IntGroup>(weight.format).zero_points = zero_points.data();
  weight.row_to_float(0, row.data());
  EXPECT_EQ(row, (std::vector<float>{-8, -7, -6, -5, -4, -2, 0, 2}));
  weight.row_to_float(1, row.data());
  EXPECT_EQ(row, (std::vector<float>{-0.5, 0, 0.5, 1, 20, 24, 28, 32}));
  EXPECT_EQ(weight.bytes(), 8u + 16u + 8u);
  EXPECT_EQ(format_name(weight.format), "int4 in groups of 4, asymmetric");
}

TEST(Weight, IntegersAreNoFloats) {
  const std::byte byte{};
  float out = 0;
  EXPECT_THROW(to_float(DType::i8, &byte, 1, &out), InternalError);
}

}  // namespace
}  // namespace duan
