#include "tensor/weight.h"

#include <cstring>

#include "base/error.h"

namespace duan {

void to_float(DType dtype, const std::byte* data, int64_t count, float* out) {
  if (dtype == DType::f32) {
    std::memcpy(out, data, static_cast<size_t>(count) * sizeof(float));
    return;
  }
  DUAN_CHECK(dtype == DType::bf16 || dtype == DType::f16, "{} is not a float dtype", dtype_name(dtype));
  for (int64_t i = 0; i < count; ++i) {
    uint16_t bits;
    std::memcpy(&bits, data + i * 2, sizeof bits);
    out[i] = dtype == DType::bf16 ? bf16_to_float(bits) : f16_to_float(bits);
  }
}

size_t Weight::bytes() const {
  return std::visit(
      [&](const Dense& dense) { return static_cast<size_t>(*element_count(shape)) * dtype_size(dense.dtype); }, format);
}

void Weight::row_to_float(int64_t row, float* out) const {
  std::visit(
      [&](const Dense& dense) {
        const size_t stride = static_cast<size_t>(columns()) * dtype_size(dense.dtype);
        to_float(dense.dtype, dense.data + static_cast<size_t>(row) * stride, columns(), out);
      },
      format);
}

}  // namespace duan
