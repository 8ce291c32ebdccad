// A decoded picture.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace duan::vision {

struct Image {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> rgb;  // [height, width, 3], row-major

  const uint8_t* row(int64_t y) const { return rgb.data() + y * width * 3; }
  uint8_t* row(int64_t y) { return rgb.data() + y * width * 3; }
};

// Height first, as in [height, width] and everywhere else in this folder. In pixels.
struct Size {
  int64_t height = 0, width = 0;
  bool operator==(const Size&) const = default;
};

}  // namespace duan::vision
