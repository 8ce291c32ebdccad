// Pictures made on the spot, checksums as Python's zlib gives them, and catching what an Error says.
#pragma once

#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "support/paths.h"
#include "vision/image.h"

namespace duan::vision::test {

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

inline void write_bytes(const std::filesystem::path& file, std::string_view bytes) {
  std::ofstream(file, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

inline std::filesystem::path vision_data() { return duan::test::data_dir() / "vision"; }
inline Json vision_json(const std::string& name) { return read_json(vision_data() / name); }

// what() of the Error that `function` throws; "" if it throws none. Anything else escapes and fails the test.
template <typename Function>
std::string error_of(Function&& function) {
  try {
    function();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

// One line, naming the file, saying the cause.
inline bool is_good_message(const std::string& what, const std::string& file, const std::string& cause) {
  return what.find('\n') == std::string::npos && what.find(file) != std::string::npos &&
         what.find(cause) != std::string::npos && what.size() < 1000;
}

}  // namespace duan::vision::test
