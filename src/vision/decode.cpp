#include "vision/decode.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/mapped_file.h"
#include "vision/exif.h"
#include "vision/formats.h"

namespace duan::vision {
namespace {

bool has(std::string_view text, size_t at, std::string_view part) {
  return text.size() >= at && text.substr(at, part.size()) == part;
}

// What people try, so that the error says what they have.
std::string other_format(std::string_view text) {
  struct Magic {
    size_t at;
    std::string_view bytes;
    const char* name;
  };
  static constexpr auto magics = std::to_array<Magic>({{0, "GIF8", "a GIF"},
                                                       {0, "BM", "a BMP picture"},
                                                       {0, std::string_view("II*\0", 4), "a TIFF picture"},
                                                       {0, std::string_view("MM\0*", 4), "a TIFF picture"},
                                                       {4, "ftypavif", "an AVIF picture"},
                                                       {4, "ftypavis", "an AVIF picture"},
                                                       {4, "ftyphei", "a HEIC picture"},
                                                       {4, "ftyphev", "a HEIC picture"},
                                                       {4, "ftypmif1", "a HEIC picture"},
                                                       {4, "ftyp", "a video"},
                                                       {0, "\x1A\x45\xDF\xA3", "a video"},
                                                       {0, "\xFF\x0A", "a JPEG XL picture"},
                                                       {4, "JXL ", "a JPEG XL picture"},
                                                       {4, "jP  ", "a JPEG 2000 picture"},
                                                       {0, "8BPS", "a Photoshop document"},
                                                       {0, "%PDF", "a PDF"},
                                                       {0, "PK\x03\x04", "a ZIP archive"},
                                                       {0, "<svg", "an SVG drawing"},
                                                       {0, "<?xml", "an XML document"},
                                                       {0, "<!DOCTYPE", "an HTML page"},
                                                       {0, "<html", "an HTML page"}});
  for (const Magic& magic : magics) {
    if (has(text, magic.at, magic.bytes)) return magic.name;
  }
  return fmt::format("an unknown format (it begins with \"{}\")", printable(text.substr(0, 8)));
}

ImageFormat format_of(const Source& source) {
  const std::string_view text = as_text(source.bytes);
  if (text.empty()) throw Error("is empty, expected a picture", source.where);
  if (text.size() > source.limits.max_file_bytes) {
    throw Error(fmt::format("has {} bytes, a picture may have {}", text.size(), source.limits.max_file_bytes),
                source.where);
  }
  if (has(text, 0, "\x89PNG\r\n\x1A\n")) return ImageFormat::png;
  if (has(text, 0, "\xFF\xD8\xFF")) return ImageFormat::jpeg;
  if (has(text, 0, "RIFF") && has(text, 8, "WEBP")) return ImageFormat::webp;
  throw Error(fmt::format("is {}, expected a PNG, JPEG or WebP picture", other_format(text)), source.where,
              "Convert it to PNG first.");
}

ImageInfo info_of(const Source& source) {
  switch (format_of(source)) {
    case ImageFormat::png:
      return png_info(source);
    case ImageFormat::jpeg:
      return jpeg_info(source);
    case ImageFormat::webp:
      return webp_info(source);
  }
  DUAN_CHECK(false, "format_of returns one of the three");
}

}  // namespace

const char* name(ImageFormat format) {
  switch (format) {
    case ImageFormat::png:
      return "PNG";
    case ImageFormat::jpeg:
      return "JPEG";
    case ImageFormat::webp:
      return "WebP";
  }
  DUAN_CHECK(false, "ImageFormat has no other value");
}

void check_size(Size stored, const Source& source) {
  const DecodeLimits& limits = source.limits;
  const int64_t height = stored.height, width = stored.width;
  const auto refuse = [&](const std::string& why, const char* hint) {
    throw Error(fmt::format("is {} x {} pixels, {}", width, height, why), source.where, hint);
  };
  if (width < 1 || height < 1) refuse("a picture has at least one", "");
  if (width > limits.max_side || height > limits.max_side) {
    refuse(fmt::format("a side may have {}", limits.max_side), "Make it smaller first.");
  }
  // Sides are small now: the product does not overflow.
  if (width * height > limits.max_pixels) {
    refuse(fmt::format("{} in all; it may have {}", width * height, limits.max_pixels), "Make it smaller first.");
  }
  if (std::max(width, height) > limits.max_ratio * std::min(width, height)) {
    refuse(fmt::format("its sides may be at most {}:1", limits.max_ratio), "Cut it into pieces.");
  }
}

ImageInfo image_info(std::span<const std::byte> bytes, const std::string& where, const DecodeLimits& limits) {
  return info_of({bytes, where, limits});
}

ImageInfo read_image_info(const std::filesystem::path& file, const DecodeLimits& limits) {
  return image_info(MappedFile(file).bytes(), file.string(), limits);
}

Image decode_image(std::span<const std::byte> bytes, const std::string& where, const DecodeLimits& limits) {
  const Source source{bytes, where, limits};
  const ImageInfo info = info_of(source);
  switch (info.format) {
    case ImageFormat::png:
      return turned(decode_png(source), info.orientation);
    case ImageFormat::jpeg:
      return turned(decode_jpeg(source), info.orientation);
    case ImageFormat::webp:
      return turned(decode_webp(source), info.orientation);
  }
  DUAN_CHECK(false, "ImageFormat has no other value");
}

Image read_image(const std::filesystem::path& file, const DecodeLimits& limits) {
  return decode_image(MappedFile(file).bytes(), file.string(), limits);
}

}  // namespace duan::vision
