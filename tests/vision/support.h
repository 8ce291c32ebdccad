// Pictures made on the spot, and checksums as Python's zlib gives them.
#pragma once

#include <zlib.h>

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "support/errors.h"
#include "support/paths.h"
#include "vision/image.h"

namespace duan::vision::test {

using duan::test::error_of;
using duan::test::is_good_message;
using duan::test::write_bytes;

template <class T>
uint32_t crc32_of(const std::vector<T>& values) {
  return static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const Bytef*>(values.data()), values.size() * sizeof values[0]));
}

// The same as computed_pixels in tools/make_image_goldens.py.
inline Image computed_pixels(int64_t height, int64_t width) {
  Image image{width, height, {}};
  image.rgb.resize(static_cast<size_t>(width * height * 3));
  for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
  return image;
}

inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

inline std::filesystem::path vision_data() { return duan::test::data_dir() / "vision"; }
inline Json vision_json(const std::string& name) { return read_json(vision_data() / name); }

}  // namespace duan::vision::test
