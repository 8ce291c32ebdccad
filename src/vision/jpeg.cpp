#include <cstdio>
// jpeglib.h needs stdio.h before it.
#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <csetjmp>

#include "base/error.h"
#include "vision/exif.h"
#include "vision/formats.h"

namespace duan::vision {
namespace {

// libjpeg with its memory. Its errors jump, so what calls it stands in `guarded`, where nothing needs a destructor.
class JpegReader {
 public:
  explicit JpegReader(const Source& source) : source_(source) {
    info_.err = jpeg_std_error(&errors_);
    errors_.error_exit = [](j_common_ptr info) { of(info).fail(); };
    errors_.emit_message = [](j_common_ptr, int) {};
    errors_.output_message = [](j_common_ptr) {};
    info_.client_data = this;
    guarded([&] { jpeg_create_decompress(&info_); });

    // All bytes are there from the start. Asked for more, libjpeg is told to wait, which makes it return.
    manager_.next_input_byte = as_octets(source.bytes);
    manager_.bytes_in_buffer = source.bytes.size();
    manager_.init_source = [](j_decompress_ptr) {};
    manager_.fill_input_buffer = [](j_decompress_ptr) -> boolean { return FALSE; };
    manager_.skip_input_data = [](j_decompress_ptr info, long count) {
      if (count > 0) advance(*info->src, static_cast<size_t>(count));
    };
    manager_.resync_to_restart = jpeg_resync_to_restart;
    manager_.term_source = [](j_decompress_ptr) {};
    info_.src = &manager_;

    progress_.progress_monitor = [](j_common_ptr info) { of(info).count_scans(); };
    info_.progress = &progress_;
    jpeg_set_marker_processor(&info_, JPEG_APP0 + 1, read_app1);
  }
  ~JpegReader() { jpeg_destroy_decompress(&info_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  jpeg_decompress_struct& info() { return info_; }
  int orientation() const { return orientation_of(exif_, as_text(xmp_)); }
  Size size() const { return {info_.image_height, info_.image_width}; }

  template <class Work>
  void guarded(const Work& work) {
    if (setjmp(jump_) == 0) {
      work();
      return;
    }
    if (too_many_scans_) {
      throw Error(fmt::format("has {} scans or more, too many for {} x {} pixels", info_.input_scan_number,
                              info_.image_width, info_.image_height),
                  source_.where, "Save it again as a baseline JPEG.");
    }
    throw Error(fmt::format("is a broken JPEG: {}", printable(message_)), source_.where);
  }

  // Up to the first scan. Throws Error.
  void read_header() {
    int status = JPEG_SUSPENDED;
    guarded([&] { status = jpeg_read_header(&info_, TRUE); });
    if (status != JPEG_HEADER_OK) fail_truncated();
    check_size(size(), source_);
    if (const int n = info_.num_components; n != 1 && n != 3 && n != 4) {
      throw Error(fmt::format("is a JPEG of {} components, expected 1, 3 or 4", n), source_.where);
    }
  }

  [[noreturn]] void fail_truncated() const { throw Error("is a truncated JPEG", source_.where); }

 private:
  static JpegReader& of(j_common_ptr info) { return *static_cast<JpegReader*>(info->client_data); }
  static void advance(jpeg_source_mgr& from, size_t count) {
    count = std::min(count, from.bytes_in_buffer);
    from.next_input_byte += count;
    from.bytes_in_buffer -= count;
  }

  [[noreturn]] void fail() {
    (*errors_.format_message)(reinterpret_cast<j_common_ptr>(&info_), message_);
    std::longjmp(jump_, 1);
  }

  void count_scans() {
    const int64_t scans = info_.input_scan_number;
    const int64_t pixels = size().height * size().width;
    const DecodeLimits& limits = source_.limits;
    too_many_scans_ = scans > limits.max_scans || (scans > 1 && scans * pixels > limits.max_scanned_pixels);
    if (too_many_scans_) std::longjmp(jump_, 1);
  }

  // Remembers where EXIF and XMP data stand. As for Pillow, the first EXIF block and the last XMP block count.
  static boolean read_app1(j_decompress_ptr info) {
    JpegReader& self = of(reinterpret_cast<j_common_ptr>(info));
    jpeg_source_mgr& from = *info->src;
    if (from.bytes_in_buffer < 2) return FALSE;
    const size_t length = static_cast<size_t>(from.next_input_byte[0] << 8 | from.next_input_byte[1]);
    if (length < 2) ERREXIT(info, JERR_BAD_LENGTH);
    if (from.bytes_in_buffer < length) return FALSE;
    const Bytes data = std::as_bytes(std::span(from.next_input_byte + 2, length - 2));
    constexpr std::string_view exif("Exif\0\0", 6), xmp("http://ns.adobe.com/xap/1.0/\0", 29);
    if (as_text(data).starts_with(exif) && self.exif_.empty()) self.exif_ = data;
    if (as_text(data).starts_with(xmp)) self.xmp_ = data.subspan(xmp.size());
    advance(from, length);
    return TRUE;
  }

  const Source& source_;
  Bytes exif_, xmp_;
  bool too_many_scans_ = false;
  char message_[JMSG_LENGTH_MAX] = {};
  jpeg_decompress_struct info_{};
  jpeg_error_mgr errors_{};
  jpeg_source_mgr manager_{};
  jpeg_progress_mgr progress_{};
  std::jmp_buf jump_;
};

// a * b / 255, rounded
int scaled(int a, int b) {
  const int t = a * b + 128;
  return ((t >> 8) + t) >> 8;
}

// Adobe stores 255 - ink, and that is what every file is taken for.
void cmyk_to_rgb(const uint8_t* from, int64_t width, uint8_t* to) {
  for (int64_t x = 0; x < width; ++x, from += 4, to += 3) {
    const int light = from[3];
    for (int c = 0; c < 3; ++c) to[c] = static_cast<uint8_t>(std::max(0, light - scaled(255 - from[c], light)));
  }
}

}  // namespace

ImageInfo jpeg_info(const Source& source) {
  JpegReader reader(source);
  reader.read_header();
  return make_info(ImageFormat::jpeg, reader.size(), reader.orientation());
}

Image decode_jpeg(const Source& source) {
  JpegReader reader(source);
  reader.read_header();
  jpeg_decompress_struct& info = reader.info();
  const bool cmyk = info.num_components == 4;

  Image image{info.image_width, info.image_height, {}};
  image.rgb.resize(static_cast<size_t>(image.width * image.height * 3));
  std::vector<uint8_t> ink(cmyk ? static_cast<size_t>(image.width * 4) : 0);
  bool whole = false;
  reader.guarded([&] {
    info.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    if (!jpeg_start_decompress(&info)) return;
    while (info.output_scanline < info.output_height) {
      uint8_t* const to = image.row(info.output_scanline);
      uint8_t* row = cmyk ? ink.data() : to;
      if (jpeg_read_scanlines(&info, &row, 1) != 1) return;
      if (cmyk) cmyk_to_rgb(ink.data(), image.width, to);
    }
    whole = true;
  });
  if (!whole) reader.fail_truncated();
  return image;
}

}  // namespace duan::vision
