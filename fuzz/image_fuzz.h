// Any bytes as a picture: an Error, or a picture of the size its header told. Shared by one target per format, because
// a fuzzer does not find from one signature to another.
#pragma once

#include <cstdlib>
#include <cstring>
#include <string>

#include "base/error.h"
#include "vision/decode.h"

namespace duan::vision {

// `signature` is put over the first bytes, so that none is lost to another format.
inline void fuzz_image(const uint8_t* data, size_t size, std::string_view signature) {
  const auto require = [](bool condition) {
    if (!condition) std::abort();
  };
  std::string file(reinterpret_cast<const char*>(data), size);
  if (size >= signature.size()) file.replace(0, signature.size(), signature);
  const auto bytes = std::as_bytes(std::span(file));
  // Low, so that one run stays fast with sanitizers.
  DecodeLimits limits;
  limits.max_pixels = 1 << 16;
  limits.max_scanned_pixels = 1 << 18;
  try {
    const ImageInfo info = image_info(bytes, "fuzz", limits);
    require(info.size.height > 0 && info.size.width > 0 && info.orientation >= 1 && info.orientation <= 8);
    const Image image = decode_image(bytes, "fuzz", limits);
    require(image.height == info.size.height && image.width == info.size.width);
    require(image.rgb.size() == static_cast<size_t>(image.height * image.width * 3));
  } catch (const Error& e) {
    require(std::strchr(e.what(), '\n') == nullptr && std::strlen(e.what()) < 2000);
  }
}

}  // namespace duan::vision
