#include "onnx/quantized_weights.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "base/error.h"

namespace duan::onnx {
namespace {

constexpr size_t kPiece = size_t{1} << 20;  // bytes: stays in the second-level cache

// Numbers 0 ... count - 1 in `bits` bits each, low end first. For what is a hundredth of a weight, or odd.
template <typename Value>
void stream_packed(int64_t count, int bits, Value value, const ByteSink& sink) {
  const int64_t per_byte = 8 / bits, mask = (1 << bits) - 1, at_once = static_cast<int64_t>(kPiece) * per_byte;
  std::vector<std::byte> piece;
  for (int64_t first = 0; first < count; first += at_once) {
    const int64_t n = std::min(at_once, count - first);
    piece.assign(static_cast<size_t>((n + per_byte - 1) / per_byte), std::byte{0});
    for (int64_t i = 0; i < n; ++i) {
      piece[static_cast<size_t>(i / per_byte)] |=
          static_cast<std::byte>((value(first + i) & mask) << (i % per_byte * bits));
    }
    sink(piece);
  }
}

// A tile of the transposition: kTileBytes of each of kTileRows rows become 2 * kTileBytes columns of kTileRows nibbles.
// It lies in the first-level cache whatever the distance of columns in the output, which is often a power of two.
constexpr int64_t kTileRows = 64, kTileBytes = 64;
using Tile = std::array<std::array<std::byte, kTileRows / 2>, 2 * kTileBytes>;

// Codes are stored plus 8; flipping the highest bit of each makes them two's complement.
constexpr std::byte kFlip4{0x88}, kFlip8{0x80}, kLow{0x0F}, kHigh{0xF0};

// rows and bytes: of this tile; rows are even. `from`: the first row's bytes, rows `stride` bytes apart.
void transpose_tile(const std::byte* from, int64_t stride, int64_t rows, int64_t bytes, Tile& tile) {
  for (int64_t row = 0; row < rows; row += 2) {
    const std::byte *a = from + row * stride, *b = a + stride;
    const auto pair = static_cast<size_t>(row / 2);
    for (int64_t i = 0; i < bytes; ++i) {
      tile[static_cast<size_t>(2 * i)][pair] = ((a[i] & kLow) | (b[i] << 4)) ^ kFlip4;
      tile[static_cast<size_t>(2 * i + 1)][pair] = ((a[i] >> 4) | (b[i] & kHigh)) ^ kFlip4;
    }
  }
}

}  // namespace

void stream_stored(std::span<const std::byte> bytes, const checkpoint::Checkpoint& checkpoint, const ByteSink& sink) {
  for (size_t first = 0; first < bytes.size(); first += kPiece) {
    const auto piece = bytes.subspan(first, std::min(kPiece, bytes.size() - first));
    sink(piece);
    checkpoint.release(piece);
  }
}

void stream_int8_of_biased(std::span<const std::byte> codes, const checkpoint::Checkpoint& checkpoint,
                           const ByteSink& sink) {
  std::vector<std::byte> flipped(std::min(kPiece, codes.size()));
  stream_stored(codes, checkpoint, [&](std::span<const std::byte> piece) {
    for (size_t i = 0; i < piece.size(); ++i) flipped[i] = piece[i] ^ kFlip8;
    sink({flipped.data(), piece.size()});
  });
}

void stream_int4_columns(const IntGroup& format, int64_t rows, int64_t columns,
                         const checkpoint::Checkpoint& checkpoint, const ByteSink& sink) {
  DUAN_CHECK(format.bits == 4, "codes have {} bits", format.bits);
  if (rows % 2 != 0) {  // columns do not begin at a byte
    stream_packed(
        rows * columns, 4, [&](int64_t i) { return code_at(format, columns, i % rows, i / rows); }, sink);
    return;
  }
  const int64_t row_bytes = columns / 2, column_bytes = rows / 2;
  const std::span<const std::byte> codes(format.codes, static_cast<size_t>(rows * row_bytes));
  std::vector<std::byte> band(static_cast<size_t>(2 * std::min(kTileBytes, row_bytes) * column_bytes));
  Tile tile;
  for (int64_t first = 0; first < row_bytes; first += kTileBytes) {
    const int64_t bytes = std::min(kTileBytes, row_bytes - first);
    for (int64_t row = 0; row < rows; row += kTileRows) {
      const int64_t n = std::min(kTileRows, rows - row);
      transpose_tile(format.codes + row * row_bytes + first, row_bytes, n, bytes, tile);
      for (int64_t column = 0; column < 2 * bytes; ++column) {
        std::memcpy(band.data() + column * column_bytes + row / 2, tile[static_cast<size_t>(column)].data(),
                    static_cast<size_t>(n / 2));
      }
    }
    sink({band.data(), static_cast<size_t>(2 * bytes * column_bytes)});
    checkpoint.release(codes);
  }
}

uint64_t zero_point_bytes(const IntGroup& format, int64_t rows, int64_t columns, ZeroPoints form) {
  const int64_t groups = columns / format.group_size, bits = format.bits;
  switch (form) {
    case ZeroPoints::by_group:
      return static_cast<uint64_t>((rows * groups * bits + 7) / 8);
    case ZeroPoints::packed:
      return static_cast<uint64_t>(rows * ((groups * bits + 7) / 8));
    case ZeroPoints::bytes:
      return static_cast<uint64_t>(rows * groups);
  }
  return 0;
}

void stream_zero_points(const IntGroup& format, int64_t rows, int64_t columns, ZeroPoints form, const ByteSink& sink) {
  const int64_t groups = columns / format.group_size, bias = int64_t{1} << (format.bits - 1);
  const auto at = [&](int64_t row, int64_t group) { return zero_point_at(format, columns, row, group); };
  switch (form) {
    case ZeroPoints::by_group:
      return stream_packed(
          rows * groups, format.bits, [&](int64_t i) { return at(i % rows, i / rows); }, sink);
    case ZeroPoints::packed: {
      const int64_t padded = format.bits == 4 ? (groups + 1) / 2 * 2 : groups;
      return stream_packed(
          rows * padded, format.bits,
          [&](int64_t i) { return i % padded < groups ? at(i / padded, i % padded) + bias : bias; }, sink);
    }
    case ZeroPoints::bytes:
      return stream_packed(
          rows * groups, 8, [&](int64_t i) { return at(i / groups, i % groups) + bias; }, sink);
  }
}

}  // namespace duan::onnx
