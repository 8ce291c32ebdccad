// The parts of quantized weights as ONNX initializers, made in pieces while they are written. Most parts are the
// checkpoint's bytes as they lie; what ONNX wants in another order is put into it piece by piece. Pages of the mapped
// checkpoint are given back behind the reader.
#pragma once

#include <span>

#include "checkpoint/checkpoint.h"
#include "onnx/model.h"
#include "tensor/weight.h"

namespace duan::onnx {

// Bytes as they are stored.
void stream_stored(std::span<const std::byte> bytes, const checkpoint::Checkpoint& checkpoint, const ByteSink& sink);

// Codes of 8 bits that are stored plus 128, as i8.
void stream_int8_of_biased(std::span<const std::byte> codes, const checkpoint::Checkpoint& checkpoint,
                           const ByteSink& sink);

// Codes of 4 bits as int4 [columns, rows]: transposed, two to a byte, low end first. Requires format.bits == 4.
void stream_int4_columns(const IntGroup& format, int64_t rows, int64_t columns,
                         const checkpoint::Checkpoint& checkpoint, const ByteSink& sink);

// The forms that zero points have.
enum class ZeroPoints {
  by_group,  // i4 or i8 [groups, rows], for DequantizeLinear
  packed,    // stored plus 2^(bits-1): u8 [rows, ceil(groups * bits / 8)], for MatMulNBits
  bytes,     // stored plus 2^(bits-1), one to a byte: u8 [rows, groups], for lookups
};

// Bytes of the zero points of a weight in this form.
uint64_t zero_point_bytes(const IntGroup& format, int64_t rows, int64_t columns, ZeroPoints form);

// Zeros if the weight is symmetric.
void stream_zero_points(const IntGroup& format, int64_t rows, int64_t columns, ZeroPoints form, const ByteSink& sink);

}  // namespace duan::onnx
