// A named weight and the format its numbers are stored in. Consumers visit the format; operations never know it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace duan {

// All pointers below lead into mapped files: row-major, contiguous, not aligned to more than 1 byte in general.

// Plain numbers of f32, f16 or bf16.
struct Dense {
  DType dtype;
  const std::byte* data;
};

// How the input x of a linear layer is rounded to int8 codes before an integer product:
//   none     not at all: only the weight is in few bits
//   dynamic  per token: scale = max|x| / 127.5, code = clamp(round_half_even(x / scale), -128, 127)
//   fixed    the same with one calibrated scale for all tokens, code = clamp(round(x / scale) + zero_point)
enum class InputRounding { none, dynamic, fixed };

struct InputScheme {
  InputRounding rounding = InputRounding::none;
  float scale = 0;         // fixed only; > 0
  int32_t zero_point = 0;  // fixed only; -128..127
  bool operator==(const InputScheme&) const = default;
};

// int8 codes with one scale a row: value = code * scale[row].
struct Int8Channel {
  const std::byte* codes;  // i8 [rows, columns]
  Dense scales;            // [rows]
  InputScheme input;
};

// Codes of 4 or 8 bits, packed low end first into 32-bit words along the columns, each stored plus 2^(bits-1); one
// scale per row and group of group_size columns: value = (code - zero_point) * scale[row, group].
struct IntGroup {
  int bits;                      // 4 | 8
  int64_t group_size;            // divides the columns
  const std::byte* codes;        // i32 [rows, columns * bits / 32]
  Dense scales;                  // [rows, columns / group_size]
  const std::byte* zero_points;  // i32 [ceil(rows * bits / 32), columns / group_size], packed along the rows and
                                 // stored plus 2^(bits-1) like the codes; nullptr: all 0
};

using WeightFormat = std::variant<Dense, Int8Channel, IntGroup>;

struct Weight {
  std::string name;  // as in the checkpoint: "model.layers.0.self_attn.q_proj.weight"
  Shape shape;       // [out, in] for a matrix, [n] for a vector; of more axes, a matrix with the later ones flattened
  WeightFormat format;

  int64_t rows() const { return shape.size() >= 2 ? shape[0] : 1; }
  int64_t columns() const;
  size_t bytes() const;  // as stored: codes, scales and zero points

  // Row `row` as floats into out[columns()].
  void row_to_float(int64_t row, float* out) const;
};

// count elements of a float dtype at any alignment, converted.
void to_float(DType dtype, const std::byte* data, int64_t count, float* out);

// "BF16", "int8 per channel", "int8 per channel, dynamic int8 input", "int4 in groups of 128"
std::string format_name(const WeightFormat& format);

// Signed code of element (row, column), and the zero point of its group. For tests and tools, not for speed.
int32_t code_at(const IntGroup& weight, int64_t columns, int64_t row, int64_t column);
int32_t zero_point_at(const IntGroup& weight, int64_t columns, int64_t row, int64_t group);

}  // namespace duan
