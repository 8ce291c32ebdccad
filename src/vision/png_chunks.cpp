#include "vision/png_chunks.h"

#include <zlib.h>

#include "base/error.h"

namespace duan::vision {
namespace {

constexpr size_t kSignatureBytes = 8;
constexpr size_t kMaxTextBytes = 1u << 20;  // of one unpacked text

uint32_t big_endian(Bytes bytes, size_t at) {
  const uint8_t* p = as_octets(bytes) + at;
  return static_cast<uint32_t>(p[0]) << 24 | static_cast<uint32_t>(p[1]) << 16 | static_cast<uint32_t>(p[2]) << 8 |
         p[3];
}

// The text up to the next NUL, which is taken off `rest`, too. False if there is none.
bool take_string(std::string_view& rest, std::string_view& taken) {
  const size_t end = rest.find('\0');
  if (end == rest.npos) return false;
  taken = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return true;
}

// A text chunk as it stands in the file.
struct Text {
  std::string_view value;
  bool compressed = false;
};

// keyword, NUL, and then: tEXt the value; zTXt a method (0) and the packed value; iTXt a flag, a method, two strings
// that end with NUL, and the value. False if it is none of these.
bool read_text(std::string_view type, std::string_view data, std::string_view& keyword, Text& text) {
  if (!take_string(data, keyword)) return false;
  if (type == "zTXt") {
    if (data.empty() || data[0] != 0) return false;
    text = {data.substr(1), true};
  } else if (type == "iTXt") {
    if (data.size() < 2 || (data[0] != 0 && data[1] != 0)) return false;
    const bool compressed = data[0] != 0;
    std::string_view language, translated;
    data.remove_prefix(2);
    if (!take_string(data, language) || !take_string(data, translated)) return false;
    text = {data, compressed};
  } else {
    text = {data, false};
  }
  return true;
}

// Empty if it cannot be unpacked or is too long.
std::string unpacked(const Text& text) {
  if (!text.compressed) return std::string(text.value.substr(0, kMaxTextBytes));
  std::string out;
  z_stream stream{};
  if (inflateInit(&stream) != Z_OK) return out;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.value.data()));
  stream.avail_in = static_cast<uInt>(text.value.size());
  int status = Z_OK;
  while (status == Z_OK && out.size() < kMaxTextBytes) {
    constexpr size_t step = 16u << 10;
    out.resize(out.size() + step);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + out.size() - step);
    stream.avail_out = step;
    status = inflate(&stream, Z_NO_FLUSH);
    out.erase(out.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  if (status != Z_STREAM_END) out.clear();
  return out;
}

// "\nexif\n   1234\n" and hexadecimal digits in lines: how ImageMagick keeps EXIF data in a text.
std::string raw_profile(std::string_view text) {
  for (int line = 0; line < 3; ++line) {
    const size_t end = text.find('\n');
    if (end == text.npos) return "";
    text.remove_prefix(end + 1);
  }
  std::string out;
  int high = -1;
  for (const char c : text) {
    int digit = 0;
    if (c >= '0' && c <= '9') {
      digit = c - '0';
    } else if (c >= 'a' && c <= 'f') {
      digit = c - 'a' + 10;
    } else if (c >= 'A' && c <= 'F') {
      digit = c - 'A' + 10;
    } else if (c == '\n' || c == '\r' || c == ' ' || c == '\t') {
      continue;
    } else {
      return "";
    }
    if (high < 0) {
      high = digit;
    } else {
      out.push_back(static_cast<char>(high << 4 | digit));
      high = -1;
    }
  }
  return out;
}

}  // namespace

PngChunks read_png_chunks(const Source& source) {
  const Bytes bytes = source.bytes;
  constexpr size_t header_end = kSignatureBytes + 8 + 13;
  if (bytes.size() < header_end + 4) throw Error("is a truncated PNG", source.where);
  if (big_endian(bytes, kSignatureBytes) != 13 || as_text(bytes).substr(kSignatureBytes + 4, 4) != "IHDR") {
    throw Error("is a broken PNG: it does not begin with its header", source.where);
  }
  PngChunks chunks;
  chunks.size = {big_endian(bytes, kSignatureBytes + 12), big_endian(bytes, kSignatureBytes + 8)};
  check_size(chunks.size, source);

  // Of each kind the last one counts, and only that one is unpacked: there may be millions.
  Text profile, xmp;
  for (size_t at = header_end + 4; bytes.size() - at >= 12;) {
    const size_t length = big_endian(bytes, at);
    if (length > bytes.size() - at - 12) break;
    const std::string_view type = as_text(bytes).substr(at + 4, 4), data = as_text(bytes).substr(at + 8, length);
    at += length + 12;
    if (type == "IEND") break;
    if (type == "eXIf") chunks.exif = data.substr(0, kMaxTextBytes);
    if (type == "tEXt" || type == "zTXt" || type == "iTXt") {
      std::string_view keyword;
      Text text;
      if (!read_text(type, data, keyword, text)) continue;
      if (keyword == "Raw profile type exif") profile = text;
      if (keyword == "XML:com.adobe.xmp") xmp = text;
    }
  }
  if (chunks.exif.empty()) chunks.exif = raw_profile(unpacked(profile));
  chunks.xmp = unpacked(xmp);
  return chunks;
}

}  // namespace duan::vision
