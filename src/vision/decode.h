// Pictures from files nobody vouches for: PNG, JPEG and WebP, told apart by their first bytes, never by a name.
//
// The result is what Pillow gives for ImageOps.exif_transpose(image).convert("RGB"), which is how transformers loads a
// picture: turned as the Orientation of its EXIF (or else XMP) data says, alpha dropped, not blended, grey and palettes
// expanded, of 16 bits a colour the upper eight. Grey of 16 bits is the exception: Pillow cuts its values at 255, so
// all but the darkest pixels come out white, and so they do here. CMYK is taken as inverted, as Adobe stores it. Of an
// animation the first frame is read. Colour profiles are ignored. EXIF data that cannot be read count as absent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "vision/image.h"

namespace duan::vision {

enum class ImageFormat { png, jpeg, webp };
const char* name(ImageFormat format);  // "PNG", ...

// Held against the header, before anything of a picture's size is allocated.
struct DecodeLimits {
  uint64_t max_file_bytes = 256u << 20;
  int64_t max_side = 16384;
  int64_t max_pixels = 32'000'000;
  int64_t max_ratio = 200;  // longer side : shorter side; the limit of transformers' processor
  // Of a JPEG. Each scan may touch every pixel, and costs a few bytes; a usual progressive file has about ten.
  int64_t max_scans = 100;
  int64_t max_scanned_pixels = 640'000'000;  // scans * pixels
};

struct ImageInfo {
  ImageFormat format;
  Size size;            // as seen: after `orientation`
  int orientation = 1;  // EXIF's: 1 as stored, 2..8 mirrored or turned
};

// `where` names the source in errors. Throw Error: empty, too large, of another format (which is named), a header that
// is broken or beyond the limits. `bytes` is the whole file, because an orientation may stand at its end; only headers
// are read.
ImageInfo image_info(std::span<const std::byte> bytes, const std::string& where, const DecodeLimits& limits = {});
ImageInfo read_image_info(const std::filesystem::path& file, const DecodeLimits& limits = {});

// Throw Error as above, and for data that are truncated or broken.
Image decode_image(std::span<const std::byte> bytes, const std::string& where, const DecodeLimits& limits = {});
Image read_image(const std::filesystem::path& file, const DecodeLimits& limits = {});

}  // namespace duan::vision
