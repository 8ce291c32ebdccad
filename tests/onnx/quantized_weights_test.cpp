// The streamed bytes against plain reading of every element.
#include "onnx/quantized_weights.h"

#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "checkpoint/checkpoint.h"
#include "support/models.h"

namespace duan::onnx {
namespace {

// A weight with random bytes, and a checkpoint that has nothing to do with it.
class QuantizedWeights : public testing::Test {
 protected:
  IntGroup weight(int bits, int64_t rows, int64_t columns, int64_t group_size, bool symmetric) {
    const int64_t groups = columns / group_size;
    const auto fill = [&](std::vector<std::byte>& bytes, int64_t count) {
      bytes.resize(static_cast<size_t>(count));
      for (std::byte& byte : bytes) byte = static_cast<std::byte>(random_());
    };
    fill(codes_, rows * columns * bits / 8);
    fill(zeros_, (rows * bits + 31) / 32 * groups * 4);
    return {bits, group_size, codes_.data(), {DType::f32, nullptr}, symmetric ? nullptr : zeros_.data()};
  }

  static std::vector<std::byte> collect(const std::function<void(const ByteSink&)>& stream) {
    std::vector<std::byte> all;
    stream([&](std::span<const std::byte> piece) { all.insert(all.end(), piece.begin(), piece.end()); });
    return all;
  }

  // Element `index` of packed numbers of `bits` bits, as they stand.
  static int field(const std::vector<std::byte>& bytes, int bits, int64_t index) {
    const int byte = std::to_integer<int>(bytes.at(static_cast<size_t>(index * bits / 8)));
    return bits == 8 ? byte : (index % 2 == 0 ? byte : byte >> 4) & 15;
  }
  static int as_signed(int value, int bits) { return value >= 1 << (bits - 1) ? value - (1 << bits) : value; }

  const checkpoint::Checkpoint checkpoint_ = checkpoint::Checkpoint::open(test::tiny_models().front());
  std::mt19937 random_{7};
  std::vector<std::byte> codes_, zeros_;
};

TEST_F(QuantizedWeights, CodesOf4BitsAreTransposed) {
  for (const int64_t rows : {1, 2, 3, 62, 63, 64, 66, 130}) {
    for (const int64_t columns : {8, 16, 120, 128, 136, 264}) {
      SCOPED_TRACE(testing::Message() << rows << " x " << columns);
      const IntGroup format = weight(4, rows, columns, columns, true);
      const auto bytes =
          collect([&](const ByteSink& sink) { stream_int4_columns(format, rows, columns, checkpoint_, sink); });
      ASSERT_EQ(bytes.size(), static_cast<size_t>((rows * columns + 1) / 2));
      int64_t different = 0;
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t column = 0; column < columns; ++column) {
          different += as_signed(field(bytes, 4, column * rows + row), 4) != code_at(format, columns, row, column);
        }
      }
      EXPECT_EQ(different, 0);
    }
  }
}

TEST_F(QuantizedWeights, CodesOf8BitsLoseTheirBias) {
  const int64_t rows = 1100, columns = 1024;  // more than a piece, and not a whole number of pieces
  const IntGroup format = weight(8, rows, columns, 128, true);
  const auto bytes = collect([&](const ByteSink& sink) { stream_int8_of_biased(codes_, checkpoint_, sink); });
  ASSERT_EQ(bytes.size(), codes_.size());
  int64_t different = 0;
  for (int64_t i = 0; i < rows * columns; ++i) {
    different += as_signed(field(bytes, 8, i), 8) != code_at(format, columns, i / columns, i % columns);
  }
  EXPECT_EQ(different, 0);
}

TEST_F(QuantizedWeights, StoredBytesStayAsTheyAre) {
  weight(8, 1100, 1024, 128, true);
  EXPECT_EQ(collect([&](const ByteSink& sink) { stream_stored(codes_, checkpoint_, sink); }), codes_);
}

TEST_F(QuantizedWeights, ZeroPointsHaveTheFormThatIsAskedFor) {
  for (const int bits : {4, 8}) {
    const int bias = 1 << (bits - 1);
    for (const int64_t rows : {1, 3, 8, 13}) {
      for (const int64_t groups : {1, 2, 5}) {
        for (const bool symmetric : {false, true}) {
          SCOPED_TRACE(testing::Message() << bits << " bits, " << rows << " rows, " << groups << " groups");
          const int64_t columns = groups * 32;
          const IntGroup format = weight(bits, rows, columns, 32, symmetric);
          const auto stream = [&](ZeroPoints form) {
            const auto bytes =
                collect([&](const ByteSink& sink) { stream_zero_points(format, rows, columns, form, sink); });
            EXPECT_EQ(bytes.size(), zero_point_bytes(format, rows, columns, form));
            return bytes;
          };
          const auto by_group = stream(ZeroPoints::by_group), packed = stream(ZeroPoints::packed),
                     bytes = stream(ZeroPoints::bytes);
          const int64_t padded = bits == 4 ? groups + groups % 2 : groups;
          for (int64_t row = 0; row < rows; ++row) {
            for (int64_t group = 0; group < groups; ++group) {
              const int expected = zero_point_at(format, columns, row, group);
              EXPECT_EQ(as_signed(field(by_group, bits, group * rows + row), bits), expected);
              EXPECT_EQ(field(packed, bits, row * padded + group), expected + bias);
              EXPECT_EQ(field(bytes, 8, row * groups + group), expected + bias);
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace duan::onnx
