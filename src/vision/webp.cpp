#include <webp/decode.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "vision/exif.h"
#include "vision/formats.h"

namespace duan::vision {
namespace {

uint32_t little_endian(Bytes bytes, size_t at, int width) {
  uint32_t value = 0;
  for (int i = width - 1; i >= 0; --i) value = value << 8 | static_cast<uint32_t>(bytes[at + static_cast<size_t>(i)]);
  return value;
}

struct WebpChunks {
  Size canvas;
  Bytes picture;                // the "VP8 " or "VP8L" chunk of the first frame, with its header
  Size frame;                   // of that picture
  int64_t left = 0, above = 0;  // where on the canvas it stands
  Bytes exif, xmp;
};

struct Chunk {
  std::string_view type;
  Bytes whole, data;  // with and without type and length
};

// Takes the chunk at the front of `rest`. Throws Error if it is not whole.
Chunk take_chunk(Bytes& rest, const Source& source) {
  const uint64_t length = rest.size() >= 8 ? little_endian(rest, 4, 4) : 0;
  if (rest.size() < 8 || length > rest.size() - 8) throw Error("is a truncated WebP", source.where);
  const Chunk chunk{as_text(rest).substr(0, 4), rest.first(8 + length), rest.subspan(8, length)};
  // Chunks are padded to even lengths.
  rest = rest.subspan(std::min<uint64_t>(rest.size(), 8 + length + length % 2));
  return chunk;
}

[[noreturn]] void fail(const Source& source, const char* what) {
  throw Error(fmt::format("is a broken WebP: {}", what), source.where);
}

void set_picture(WebpChunks& chunks, Bytes picture, const Source& source) {
  WebPBitstreamFeatures features;
  const VP8StatusCode status = WebPGetFeatures(as_octets(picture), picture.size(), &features);
  if (status == VP8_STATUS_NOT_ENOUGH_DATA) throw Error("is a truncated WebP", source.where);
  if (status != VP8_STATUS_OK) fail(source, "the header of its pixels");
  chunks.picture = picture;
  chunks.frame = {features.height, features.width};
  check_size(chunks.frame, source);
}

bool is_picture(const Chunk& chunk) { return chunk.type == "VP8 " || chunk.type == "VP8L"; }

// ANMF: place, size and duration of a frame, then its chunks. Its alpha (ALPH) is not looked at.
void read_frame(WebpChunks& chunks, Bytes frame, const Source& source) {
  if (frame.size() < 16) throw Error("is a truncated WebP", source.where);
  chunks.left = 2 * static_cast<int64_t>(little_endian(frame, 0, 3));
  chunks.above = 2 * static_cast<int64_t>(little_endian(frame, 3, 3));
  const Size size{1 + static_cast<int64_t>(little_endian(frame, 9, 3)),
                  1 + static_cast<int64_t>(little_endian(frame, 6, 3))};
  for (Bytes rest = frame.subspan(16); chunks.picture.empty() && !rest.empty();) {
    if (const Chunk chunk = take_chunk(rest, source); is_picture(chunk)) set_picture(chunks, chunk.whole, source);
  }
  if (chunks.picture.empty()) fail(source, "its first frame has no pixels");
  if (!(chunks.frame == size)) fail(source, "two sizes of its first frame");
}

// RIFF, its length, WEBP, and either one picture or VP8X and the chunks it announces.
WebpChunks read_chunks(const Source& source) {
  const uint64_t length = little_endian(source.bytes, 4, 4);
  if (length < 4) fail(source, "its length");
  if (length > source.bytes.size() - 8) throw Error("is a truncated WebP", source.where);
  Bytes rest = source.bytes.subspan(12, length - 4);

  WebpChunks chunks;
  const Chunk first = take_chunk(rest, source);
  if (is_picture(first)) {
    set_picture(chunks, first.whole, source);
    chunks.canvas = chunks.frame;
    return chunks;
  }
  if (first.type != "VP8X" || first.data.size() < 10) fail(source, "it begins with no picture");
  const uint32_t flags = little_endian(first.data, 0, 1);
  const bool animated = flags & 2u, has_xmp = flags & 4u, has_exif = flags & 8u;
  chunks.canvas = {1 + static_cast<int64_t>(little_endian(first.data, 7, 3)),
                   1 + static_cast<int64_t>(little_endian(first.data, 4, 3))};
  check_size(chunks.canvas, source);
  while (!rest.empty()) {
    const Chunk chunk = take_chunk(rest, source);
    if (chunks.picture.empty() && !animated && is_picture(chunk)) set_picture(chunks, chunk.whole, source);
    if (chunks.picture.empty() && animated && chunk.type == "ANMF") read_frame(chunks, chunk.data, source);
    if (has_exif && chunk.type == "EXIF" && chunks.exif.empty()) chunks.exif = chunk.data;
    if (has_xmp && chunk.type == "XMP " && chunks.xmp.empty()) chunks.xmp = chunk.data;
  }
  if (chunks.picture.empty()) fail(source, "it has no picture");
  if (!animated && !(chunks.frame == chunks.canvas)) fail(source, "two sizes");
  if (chunks.left + chunks.frame.width > chunks.canvas.width ||
      chunks.above + chunks.frame.height > chunks.canvas.height) {
    fail(source, "its first frame does not fit");
  }
  return chunks;
}

WebpChunks chunks_of(const Source& source) {
  if (source.bytes.size() < 12 + 8) throw Error("is a truncated WebP", source.where);
  return read_chunks(source);
}

}  // namespace

ImageInfo webp_info(const Source& source) {
  const WebpChunks chunks = chunks_of(source);
  return make_info(ImageFormat::webp, chunks.canvas, orientation_of(chunks.exif, as_text(chunks.xmp)));
}

Image decode_webp(const Source& source) {
  const WebpChunks chunks = chunks_of(source);
  Image image{chunks.canvas.width, chunks.canvas.height, {}};
  image.rgb.resize(static_cast<size_t>(image.width * image.height * 3));  // black around a smaller first frame

  const int64_t stride = image.width * 3, offset = chunks.above * stride + chunks.left * 3;
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) fail(source, "libwebp is of another version");
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = image.rgb.data() + offset;
  config.output.u.RGBA.stride = static_cast<int>(stride);
  config.output.u.RGBA.size = image.rgb.size() - static_cast<size_t>(offset);
  switch (WebPDecode(as_octets(chunks.picture), chunks.picture.size(), &config)) {
    case VP8_STATUS_OK:
      return image;
    case VP8_STATUS_OUT_OF_MEMORY:
      throw std::bad_alloc();
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
      throw Error("is a truncated WebP", source.where);
    default:
      fail(source, "its pixels");
  }
}

}  // namespace duan::vision
