#include "vision/pixel_hash.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string_view>

#include "vision/support.h"

namespace duan::vision {
namespace {

std::span<const uint8_t> octets(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// PYTHONHASHSEED=0 python3.11 -c "print(hash(b'...') % 2**64)", which is SipHash-1-3 with a key of zeros.
TEST(SipHash, AgreesWithPython) {
  EXPECT_EQ(siphash13(0, 0, octets("a")), 0x407448d2b89b1813u);
  EXPECT_EQ(siphash13(0, 0, octets("abcdefg")), 0x6db12aae9070f506u);
  EXPECT_EQ(siphash13(0, 0, octets("abcdefgh")), 0x3f7b849c0b8e35eau);
  EXPECT_EQ(siphash13(0, 0, octets("abcdefghi")), 0xf89b34a3d11eb6e5u);
  std::vector<uint8_t> bytes(100);
  std::iota(bytes.begin(), bytes.end(), uint8_t{0});
  EXPECT_EQ(siphash13(0, 0, bytes), 0x1c6a66e1506e7908u);
  EXPECT_NE(siphash13(1, 0, bytes), siphash13(0, 1, bytes));
}

TEST(PixelHash, DependsOnEverythingItIsGiven) {
  const Image image = test::computed_pixels(4, 6);
  const uint64_t hash = pixel_hash(image, 0);
  EXPECT_EQ(pixel_hash(image, 0), hash);
  EXPECT_NE(pixel_hash(image, 1), hash);
  EXPECT_NE(pixel_hash({4, 6, image.rgb}, 0), hash);
  EXPECT_NE(pixel_hash({12, 2, image.rgb}, 0), hash);
  for (size_t i = 0; i < image.rgb.size(); ++i) {
    Image changed = image;
    changed.rgb[i] ^= 1;
    EXPECT_NE(pixel_hash(changed, 0), hash) << i;
  }
}

}  // namespace
}  // namespace duan::vision
