#include "vision/exif.h"

#include <algorithm>
#include <array>

namespace duan::vision {
namespace {

constexpr uint16_t kOrientation = 0x0112;

// Reads of a TIFF block in its own byte order.
struct Tiff {
  std::span<const std::byte> bytes;
  bool big_endian;

  bool has(uint64_t at, uint64_t count) const { return at <= bytes.size() && bytes.size() - at >= count; }
  uint32_t number(uint64_t at, int width) const {
    uint32_t value = 0;
    for (int i = 0; i < width; ++i) {
      const auto byte = static_cast<uint32_t>(bytes[at + static_cast<uint64_t>(big_endian ? i : width - 1 - i)]);
      value = value << 8 | byte;
    }
    return value;
  }
};

// Bytes of one value of each TIFF type; 0 for what is no type.
uint64_t type_size(uint32_t type) {
  constexpr std::array<uint8_t, 17> sizes = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8};
  return type < sizes.size() ? sizes[type] : 0;
}

// An integer; a value of another type is no orientation.
int64_t integer(const Tiff& tiff, uint64_t at, uint32_t type) {
  switch (type) {
    case 3:
      return tiff.number(at, 2);
    case 4:
      return tiff.number(at, 4);
    case 6:
      return static_cast<int8_t>(tiff.number(at, 1));
    case 8:
      return static_cast<int16_t>(tiff.number(at, 2));
    case 9:
      return static_cast<int32_t>(tiff.number(at, 4));
    default:
      return 0;
  }
}

}  // namespace

std::optional<int64_t> exif_orientation(std::span<const std::byte> exif) {
  const auto starts_with = [&](std::string_view prefix) {
    return exif.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), exif.begin(),
                                                      [](char a, auto b) { return static_cast<std::byte>(a) == b; });
  };
  constexpr std::string_view prefix("Exif\0\0", 6), little("II*\0", 4), big("MM\0*", 4);
  for (int i = 0; i < 2 && starts_with(prefix); ++i) exif = exif.subspan(prefix.size());
  if (!starts_with(little) && !starts_with(big)) return std::nullopt;

  const Tiff tiff{exif, starts_with(big)};
  if (!tiff.has(4, 4)) return std::nullopt;
  uint64_t at = tiff.number(4, 4);
  if (!tiff.has(at, 2)) return std::nullopt;
  const uint32_t entries = tiff.number(at, 2);
  at += 2;

  std::optional<int64_t> orientation;
  for (uint32_t i = 0; i < entries && tiff.has(at, 12); ++i, at += 12) {
    const uint32_t tag = tiff.number(at, 2), type = tiff.number(at + 2, 2), count = tiff.number(at + 4, 4);
    const uint64_t bytes = type_size(type) * count;
    if (bytes == 0) continue;
    // More than fits into the entry stands elsewhere; if that is outside, Pillow reads no further entries either.
    const uint64_t value = bytes > 4 ? tiff.number(at + 8, 4) : at + 8;
    if (!tiff.has(value, bytes)) break;
    if (tag == kOrientation) orientation = integer(tiff, value, type);  // of several values the first
  }
  return orientation;
}

std::optional<int64_t> xmp_orientation(std::string_view xmp) {
  constexpr std::string_view key = "tiff:Orientation";
  for (size_t at = xmp.find(key); at != xmp.npos; at = xmp.find(key, at + 1)) {
    std::string_view rest = xmp.substr(at + key.size());
    if (rest.starts_with("=\"")) {
      rest.remove_prefix(2);
    } else if (rest.starts_with(">")) {
      rest.remove_prefix(1);
    } else {
      continue;
    }
    if (!rest.empty() && rest[0] >= '0' && rest[0] <= '9') return rest[0] - '0';
  }
  return std::nullopt;
}

int orientation_of(std::span<const std::byte> exif, std::string_view xmp) {
  std::optional<int64_t> found = exif_orientation(exif);
  if (!found) found = xmp_orientation(xmp);
  return found && *found >= 2 && *found <= 8 ? static_cast<int>(*found) : 1;
}

Image turned(Image image, int orientation) {
  if (orientation == 1) return image;
  const bool swapped = orientation >= 5;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_below = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;

  Image out;
  out.width = swapped ? image.height : image.width;
  out.height = swapped ? image.width : image.height;
  out.rgb.resize(image.rgb.size());
  // Where pixel (0, 0) of the result comes from, and how far the source moves for one step right and one down.
  const int64_t step_x = from_right ? -3 : 3, step_y = (from_below ? -3 : 3) * image.width;
  const int64_t right = swapped ? step_y : step_x, down = swapped ? step_x : step_y;
  const uint8_t* const origin = image.row(from_below ? image.height - 1 : 0) + (from_right ? image.width - 1 : 0) * 3;

  constexpr int64_t tile = 32;  // a swapped tile stays in cache
  for (int64_t y0 = 0; y0 < out.height; y0 += tile) {
    for (int64_t x0 = 0; x0 < out.width; x0 += tile) {
      for (int64_t y = y0; y < std::min(y0 + tile, out.height); ++y) {
        uint8_t* to = out.row(y) + x0 * 3;
        for (int64_t x = x0; x < std::min(x0 + tile, out.width); ++x, to += 3) {
          const uint8_t* const from = origin + x * right + y * down;
          to[0] = from[0];
          to[1] = from[1];
          to[2] = from[2];
        }
      }
    }
  }
  return out;
}

}  // namespace duan::vision
