#include "onnx/weights.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "kernels/rows.h"

namespace duan::onnx {
namespace {

constexpr int64_t kPiece = 1 << 18;  // elements: 1 MiB of f32 stays in the second-level cache

}  // namespace

void stream_dense(const Weight& weight, Precision precision, const checkpoint::Checkpoint& checkpoint,
                  const ByteSink& sink) {
  const auto& dense = std::get<Dense>(weight.format);
  const kernels::RowsKernel& kernel = kernels::select_rows();
  const int64_t count = *element_count(weight.shape);
  const auto size = static_cast<int64_t>(dtype_size(dense.dtype));
  const bool half = precision == Precision::fp16;
  const bool as_is = dense.dtype == (half ? DType::f16 : DType::f32);
  std::vector<float> floats(as_is ? 0 : static_cast<size_t>(std::min(count, kPiece)));
  std::vector<uint16_t> halves(half && !as_is ? floats.size() : 0);
  for (int64_t first = 0; first < count; first += kPiece) {
    const int64_t n = std::min(kPiece, count - first);
    const std::byte* source = dense.data + first * size;
    const std::span<const std::byte> bytes(source, static_cast<size_t>(n * size));
    if (as_is) {
      sink(bytes);
    } else {
      kernel.to_float(source, dense.dtype, floats.data(), n);
      const std::span<const float> converted(floats.data(), static_cast<size_t>(n));
      if (half) {
        for (size_t i = 0; i < converted.size(); ++i) {
          halves[i] = float_to_f16(converted[i]);
          if ((halves[i] & 0x7FFF) == 0x7C00 && std::isfinite(converted[i])) {
            throw Error(fmt::format("holds {}, which is beyond the range of fp16", converted[i]), weight.name,
                        "export with --precision fp32");
          }
        }
        sink(std::as_bytes(std::span(halves.data(), converted.size())));
      } else {
        sink(std::as_bytes(converted));
      }
    }
    checkpoint.release(bytes);
  }
}

}  // namespace duan::onnx
