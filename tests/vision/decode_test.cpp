// Every picture under tests/data/vision (tools/make_image_goldens.py) is read as Pillow reads it, or is refused for the
// reason that stands beside it.
//
// A refusal from the header takes well under 5 ms: pictures of 528 MB to 12 GB in a file of 100 bytes were refused in
// 0.02 to 0.1 ms with 0.5 MiB of memory, by hand.
#include "vision/decode.h"

#include <gtest/gtest.h>

#include <map>

#include "vision/support.h"

namespace duan::vision {
namespace {

std::filesystem::path picture(const std::string& name) { return test::vision_data() / "pictures" / name; }

TEST(Decode, EveryPictureIsReadAsPillowReadsItOrIsRefused) {
  int read = 0, refused = 0;
  const Json pictures = test::vision_json("pictures.json");
  for (const auto& [name, expected] : pictures.items()) {
    SCOPED_TRACE(name);
    const auto file = picture(name);
    if (expected.contains("error")) {
      const std::string what = test::error_of([&] { read_image(file); });
      EXPECT_TRUE(test::is_good_message(what, file.string(), expected["error"])) << what;
      ++refused;
      continue;
    }
    try {
      const Image image = read_image(file);
      EXPECT_EQ(image.width, expected["width"]);
      EXPECT_EQ(image.height, expected["height"]);
      EXPECT_EQ(test::crc32_of(image.rgb), expected["crc32"]);
      EXPECT_EQ(read_image_info(file).size, (Size{image.height, image.width}));
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
    ++read;
  }
  EXPECT_GT(read, 110);
  EXPECT_GT(refused, 90);
}

TEST(Decode, PhotosOfOthersAreReadAsPillowReadsThem) {
  DUAN_NEEDS_REFERENCE();
  const Json others = test::vision_json("others.json");
  for (const auto& [name, expected] : others.items()) {
    SCOPED_TRACE(name);
    const Image image = read_image(*duan::test::reference_dir() / name);
    EXPECT_EQ(image.width, expected["width"]);
    EXPECT_EQ(image.height, expected["height"]);
    EXPECT_EQ(test::crc32_of(image.rgb), expected["crc32"]);
  }
  EXPECT_GE(others.size(), 40u);
}

// Of a refused picture the header alone may be good; whatever the header refuses, the decoder refuses, too.
TEST(Decode, TheHeaderTellsFormatAndSize) {
  EXPECT_EQ(read_image_info(picture("rgb8.png")).format, ImageFormat::png);
  EXPECT_EQ(read_image_info(picture("named_wrongly.png")).format, ImageFormat::jpeg);
  const ImageInfo turned = read_image_info(picture("exif6.webp"));
  EXPECT_EQ(turned.format, ImageFormat::webp);
  EXPECT_EQ(turned.orientation, 6);
  EXPECT_EQ(turned.size, (Size{13, 9}));  // stored 13 wide, 9 high
  EXPECT_STREQ(name(turned.format), "WebP");
  EXPECT_EQ(read_image_info(picture("half_pixels.png")).size, (Size{5, 6}));
  for (const char* bomb : {"size_16000x11000.png", "size_65500x65500.jpg", "canvas_16000x11000.webp"}) {
    EXPECT_NE(test::error_of([&] { read_image_info(picture(bomb)); }), "") << bomb;
  }
}

TEST(Decode, TheLimitsAreTheCallers) {
  DecodeLimits limits;
  limits.max_pixels = 77;  // 11 x 7
  EXPECT_EQ(read_image(picture("rgb8.png"), limits).width, 11);
  limits.max_pixels = 76;
  EXPECT_NE(test::error_of([&] { read_image(picture("rgb8.png"), limits); }).find("77 in all"), std::string::npos);
  limits = {};
  limits.max_side = 10;
  EXPECT_NE(test::error_of([&] { read_image(picture("rgb8.png"), limits); }).find("a side may have 10"),
            std::string::npos);
  limits = {};
  limits.max_file_bytes = 50;
  EXPECT_NE(test::error_of([&] { read_image(picture("rgb8.png"), limits); }).find("a picture may have 50"),
            std::string::npos);
  limits = {};
  limits.max_scanned_pixels = 21 * 18 * 9;
  EXPECT_NE(test::error_of([&] { read_image(picture("progressive.jpg"), limits); }).find("scans"), std::string::npos);
  EXPECT_EQ(read_image(picture("420.jpg"), limits).width, 21);
}

TEST(Decode, WhereAndAHintAreInTheError) {
  try {
    decode_image(test::bytes_of("GIF89a"), "picture 2 of message 1");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.where(), "picture 2 of message 1");
    EXPECT_NE(error.hint(), "");
  }
  EXPECT_NE(test::error_of([] { read_image("/nonexistent/picture.png"); }), "");
}

// At every length: an Error (or, behind the last pixel, the picture), never anything else.
TEST(Decode, SurvivesBeingCutAnywhere) {
  for (const char* name :
       {"rgb8.png", "palette4_interlaced.png", "xmp_packed.png", "raw_profile_packed.png", "420.jpg", "progressive.jpg",
        "cmyk.jpg", "exif6.jpg", "lossy.webp", "lossless.webp", "alpha.webp", "animated_offset.webp", "exif6.webp"}) {
    SCOPED_TRACE(name);
    const std::string whole = read_file(picture(name));
    const Image image = decode_image(test::bytes_of(whole), name);
    size_t refused = 0;
    for (size_t length = 0; length < whole.size(); ++length) {
      // A copy of its own, so that a sanitizer sees a read behind the end.
      const std::vector<char> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
      Image part;
      const std::string what = test::error_of([&] { part = decode_image(std::as_bytes(std::span(cut)), name); });
      refused += !what.empty();
      EXPECT_EQ(what.find('\n'), std::string::npos);
      EXPECT_TRUE(!what.empty() || part.rgb.size() == image.rgb.size()) << length;
    }
    EXPECT_GT(refused + 20, whole.size()) << "all but the last bytes are needed";
  }
}

// Each byte set to a few values: an Error or a picture, never anything else.
TEST(Decode, SurvivesEveryChangedByte) {
  DecodeLimits limits;
  limits.max_pixels = 100'000;  // so that a changed size costs little
  std::map<std::string, int> read;
  for (const char* name : {"grey4.png", "palette8_interlaced.png", "exif3.png", "420.jpg", "progressive.jpg",
                           "cmyk.jpg", "lossy.webp", "lossless.webp", "animated_offset.webp"}) {
    const std::string whole = read_file(picture(name));
    for (size_t at = 0; at < whole.size(); ++at) {
      for (const int change : {1, 0x80, 0xFF}) {
        std::string bytes = whole;
        bytes[at] = static_cast<char>(bytes[at] ^ change);
        const std::string what = test::error_of([&] { decode_image(test::bytes_of(bytes), name, limits); });
        read[name] += what.empty();
        EXPECT_EQ(what.find('\n'), std::string::npos);
      }
    }
  }
  EXPECT_GT(read["420.jpg"], 100);  // a JPEG has no checksums
  EXPECT_GT(read["lossy.webp"], 100);
}

}  // namespace
}  // namespace duan::vision
