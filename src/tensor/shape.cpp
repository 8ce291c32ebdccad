#include "tensor/shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace duan {

std::optional<int64_t> element_count(const Shape& shape) {
  int64_t nonzero = 1;
  bool empty = false;
  for (const int64_t extent : shape) {
    if (extent < 0) return std::nullopt;
    if (extent == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(nonzero, extent, &nonzero)) {
      return std::nullopt;
    }
  }
  return empty ? 0 : nonzero;
}

std::string to_string(const Shape& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

}  // namespace duan
