#include <png.h>

#include <csetjmp>
#include <cstring>

#include "base/error.h"
#include "vision/exif.h"
#include "vision/formats.h"
#include "vision/png_chunks.h"

namespace duan::vision {
namespace {

// libpng with its memory. Its errors jump, so what calls it stands in `guarded`, where nothing needs a destructor.
class PngReader {
 public:
  explicit PngReader(const Source& source) : rest_(source.bytes), where_(source.where) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) throw std::bad_alloc();
    png_set_read_fn(png_, this, read);
    // Pixels and palette alone: chunks that unpack to much are passed over.
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_user_limits(png_, static_cast<png_uint_32>(source.limits.max_side),
                        static_cast<png_uint_32>(source.limits.max_side));
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  png_structp png() { return png_; }
  png_infop info() { return info_; }

  template <class Work>
  void guarded(const Work& work) {
    if (setjmp(jump_) == 0) {
      work();
      return;
    }
    if (truncated_) throw Error("is a truncated PNG", where_);
    throw Error(fmt::format("is a broken PNG: {}", printable(message_)), where_);
  }

 private:
  static void read(png_structp png, png_bytep to, size_t count) {
    PngReader& self = *static_cast<PngReader*>(png_get_io_ptr(png));
    if (count > self.rest_.size()) {
      self.truncated_ = true;
      png_error(png, "truncated");
    }
    std::memcpy(to, self.rest_.data(), count);
    self.rest_ = self.rest_.subspan(count);
  }
  [[noreturn]] static void on_error(png_structp png, const char* message) {
    PngReader& self = *static_cast<PngReader*>(png_get_error_ptr(png));
    std::strncpy(self.message_, message, sizeof self.message_ - 1);
    std::longjmp(self.jump_, 1);
  }
  static void on_warning(png_structp, const char*) {}

  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  Bytes rest_;
  const std::string& where_;
  bool truncated_ = false;
  char message_[128] = {};
  std::jmp_buf jump_;
};

// One row as libpng gives it, a byte a channel (grey of 16 bits: two), to RGB.
struct RowReader {
  int channels = 0;
  int grey_scale = 1;      // of grey with fewer than 8 bits
  bool wide_grey = false;  // 16 bits
  bool has_palette = false;
  uint8_t palette[256][3] = {};  // beyond the file's own entries: black

  void read(const uint8_t* from, int64_t width, uint8_t* to) const {
    for (int64_t x = 0; x < width; ++x, to += 3) {
      if (has_palette) {
        std::memcpy(to, palette[from[x]], 3);
      } else if (wide_grey) {
        to[0] = to[1] = to[2] = from[2 * x] != 0 ? 255 : from[2 * x + 1];
      } else if (channels <= 2) {
        to[0] = to[1] = to[2] = static_cast<uint8_t>(from[channels * x] * grey_scale);
      } else {
        std::memcpy(to, from + channels * x, 3);
      }
    }
  }
};

}  // namespace

ImageInfo png_info(const Source& source) {
  const PngChunks chunks = read_png_chunks(source);
  return make_info(ImageFormat::png, chunks.size, orientation_of(std::as_bytes(std::span(chunks.exif)), chunks.xmp));
}

Image decode_png(const Source& source) {
  PngReader reader(source);
  png_uint_32 width = 0, height = 0;
  int passes = 1;
  size_t row_bytes = 0;
  RowReader rows;
  reader.guarded([&] {
    png_structp const png = reader.png();
    png_infop const info = reader.info();
    png_read_info(png, info);
    int bits = 0, color = 0;
    png_get_IHDR(png, info, &width, &height, &bits, &color, nullptr, nullptr, nullptr);
    rows.has_palette = color == PNG_COLOR_TYPE_PALETTE;
    rows.wide_grey = color == PNG_COLOR_TYPE_GRAY && bits == 16;
    if (bits == 16 && !rows.wide_grey) png_set_strip_16(png);
    if (bits < 8) png_set_packing(png);
    if (color == PNG_COLOR_TYPE_GRAY && bits < 8) rows.grey_scale = 255 / ((1 << bits) - 1);
    png_colorp palette = nullptr;
    int entries = 0;
    if (rows.has_palette && png_get_PLTE(png, info, &palette, &entries) != 0) {
      for (int i = 0; i < entries && i < 256; ++i) {
        rows.palette[i][0] = palette[i].red;
        rows.palette[i][1] = palette[i].green;
        rows.palette[i][2] = palette[i].blue;
      }
    }
    passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    rows.channels = png_get_channels(png, info);
    row_bytes = png_get_rowbytes(png, info);
  });
  check_size({height, width}, source);

  Image image{width, height, {}};
  image.rgb.resize(static_cast<size_t>(width) * height * 3);
  // The passes of an interlaced picture each fill in some of its pixels, so all rows are kept until the last.
  std::vector<uint8_t> raw(passes > 1 ? row_bytes * height : row_bytes);
  reader.guarded([&] {
    for (int pass = 0; pass < passes; ++pass) {
      for (png_uint_32 y = 0; y < height; ++y) {
        uint8_t* const row = raw.data() + (passes > 1 ? y * row_bytes : 0);
        png_read_row(reader.png(), row, nullptr);
        if (pass == passes - 1) rows.read(row, width, image.row(y));
      }
    }
  });
  return image;
}

}  // namespace duan::vision
