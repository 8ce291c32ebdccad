// Shapes with known extents.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace duan {

using Shape = std::vector<int64_t>;

// The number of elements, or nothing if it does not fit int64. Zero extents are legal; the product is then still
// refused if the other extents alone overflow.
std::optional<int64_t> element_count(const Shape& shape);

std::string to_string(const Shape& shape);  // "[2048, 6144]"

}  // namespace duan
