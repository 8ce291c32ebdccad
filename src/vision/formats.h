// One reader per format, for decode.cpp alone.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "vision/decode.h"

namespace duan::vision {

using Bytes = std::span<const std::byte>;

inline const uint8_t* as_octets(Bytes bytes) { return reinterpret_cast<const uint8_t*>(bytes.data()); }
inline std::string_view as_text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// What is decoded, when, and under which limits.
struct Source {
  Bytes bytes;
  const std::string& where;
  const DecodeLimits& limits;
};

// Throws Error if a side is 0 or `stored`, the size in the header, is beyond the limits.
void check_size(Size stored, const Source& source);

// ..._info: from headers. decode_...: the pixels as stored, before any orientation. Both throw Error.
ImageInfo png_info(const Source& source);
Image decode_png(const Source& source);
ImageInfo jpeg_info(const Source& source);
Image decode_jpeg(const Source& source);
ImageInfo webp_info(const Source& source);
Image decode_webp(const Source& source);

// The size as seen of a picture stored as `stored`.
inline ImageInfo make_info(ImageFormat format, Size stored, int orientation) {
  return {format, orientation >= 5 ? Size{stored.width, stored.height} : stored, orientation};
}

}  // namespace duan::vision
