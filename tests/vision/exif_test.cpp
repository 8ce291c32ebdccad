// What whole files say is in decode_test.cpp; here are the blocks alone, and turning.
#include "vision/exif.h"

#include <gtest/gtest.h>

#include "vision/support.h"

namespace duan::vision {
namespace {

std::string text(std::string_view literal) { return std::string(literal); }

// A little-endian block with one entry for the orientation.
std::string block(char type, char count, std::string_view value) {
  return std::string("II*\0\x08\0\0\0\1\0\x12\1", 12) + type + '\0' + count + std::string("\0\0\0", 3) +
         std::string(value) + std::string(4, '\0');
}

std::optional<int64_t> of(const std::string& exif) { return exif_orientation(test::bytes_of(exif)); }

TEST(Exif, ReadsIntegersOfEveryWidth) {
  EXPECT_EQ(of(block(3, 1, {"\6\0\0\0", 4})), 6);
  EXPECT_EQ(of("Exif" + text({"\0\0", 2}) + block(3, 1, {"\6\0\0\0", 4})), 6);
  EXPECT_EQ(of(block(4, 1, {"\7\0\0\0", 4})), 7);
  EXPECT_EQ(of(block(6, 1, {"\xFF\0\0\0", 4})), -1);
  EXPECT_EQ(of(block(8, 1, {"\xFE\xFF\0\0", 4})), -2);
  EXPECT_EQ(of(block(9, 1, {"\3\0\0\0", 4})), 3);
  EXPECT_EQ(of(block(2, 2, {"6\0\0\0", 4})), 0);  // a text is there, and is no orientation
}

TEST(Exif, BrokenBlocksSayNothing) {
  const std::string whole = block(3, 1, {"\6\0\0\0", 4});
  for (size_t length = 0; length < whole.size() - 4; ++length) {
    const std::vector<char> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length));
    EXPECT_EQ(exif_orientation(std::as_bytes(std::span(cut))), std::nullopt) << length;
  }
  EXPECT_EQ(of("II*"), std::nullopt);
  EXPECT_EQ(of(text({"II*\0\xF0\xFF\xFF\xFF", 8})), std::nullopt);
  EXPECT_EQ(of(block(0, 1, {"\6\0\0\0", 4})), std::nullopt);   // no type
  EXPECT_EQ(of(block(99, 1, {"\6\0\0\0", 4})), std::nullopt);  // no type
  EXPECT_EQ(of(block(3, 0, {"\6\0\0\0", 4})), std::nullopt);   // no value
  EXPECT_EQ(of(block(3, 9, {"\xF0\xFF\xFF\xFF", 4})), std::nullopt);
}

TEST(Exif, XmpIsSearchedForTheFirstDigit) {
  EXPECT_EQ(xmp_orientation("<x tiff:Orientation=\"6\"/>"), 6);
  EXPECT_EQ(xmp_orientation("<tiff:Orientation>3</tiff:Orientation>"), 3);
  EXPECT_EQ(xmp_orientation("tiff:Orientation tiff:Orientation=\"x tiff:Orientation>8"), 8);
  EXPECT_EQ(xmp_orientation("tiff:Orientation='6'"), std::nullopt);
  EXPECT_EQ(xmp_orientation("tiff:Orientation=\""), std::nullopt);
  EXPECT_EQ(xmp_orientation(""), std::nullopt);
}

TEST(Exif, XmpIsAskedOnlyIfExifDoesNotSay) {
  const std::string nine = block(3, 1, {"\x09\0\0\0", 4}), xmp = "tiff:Orientation=\"6\"";
  EXPECT_EQ(orientation_of({}, xmp), 6);
  EXPECT_EQ(orientation_of(test::bytes_of(nine), xmp), 1);
  EXPECT_EQ(orientation_of({}, "tiff:Orientation=\"9\""), 1);
}

// Sizes around the tiles in which it is done; each turn is undone by another.
TEST(Exif, TurningAndTurningBackChangesNothing) {
  for (const Size size : {Size{1, 1}, {1, 40}, {31, 33}, {64, 97}}) {
    const Image image = test::computed_pixels(size.height, size.width);
    for (int orientation = 1; orientation <= 8; ++orientation) {
      const int back = orientation == 6 ? 8 : orientation == 8 ? 6 : orientation;
      const Image there = turned(image, orientation);
      EXPECT_EQ(there.width, orientation >= 5 ? size.height : size.width);
      EXPECT_EQ(turned(there, back).rgb, image.rgb) << orientation;
    }
  }
}

TEST(Exif, SixTurnsClockwise) {
  const Image image{2, 1, {1, 2, 3, 4, 5, 6}};
  const Image six = turned(image, 6), three = turned(image, 3);
  EXPECT_EQ(six.height, 2);
  EXPECT_EQ(six.rgb, image.rgb);  // left is above now
  EXPECT_EQ(turned(image, 8).rgb, (std::vector<uint8_t>{4, 5, 6, 1, 2, 3}));
  EXPECT_EQ(three.rgb, (std::vector<uint8_t>{4, 5, 6, 1, 2, 3}));
}

}  // namespace
}  // namespace duan::vision
