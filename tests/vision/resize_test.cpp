#include "vision/resize.h"

#include <gtest/gtest.h>

#include "vision/decode.h"
#include "vision/support.h"

namespace duan::vision {
namespace {

std::optional<Size> size_or_refusal(const std::function<Size()>& function) {
  try {
    return function();
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::optional<Size> expected_size(const Json& json) {
  if (json.is_null()) return std::nullopt;
  return Size{json[0], json[1]};
}

// Rows: height, width, [height, width] or null where the sides' ratio is refused.
TEST(SmartResize, AgreesWithTransformersOnEveryRow) {
  DUAN_NEEDS_REFERENCE();
  const Json json = read_json(*duan::test::reference_dir() / "golden/models/goldens/qwen3-vl/smart_resize.json");
  const PixelLimits limits{json["factor"], json["min_pixels"], json["max_pixels"]};
  for (const Json& row : json["rows_h_w_result"]) {
    const Size size{row[0], row[1]};
    EXPECT_EQ(size_or_refusal([&] { return smart_resize(size, limits); }), expected_size(row[2])) << to_text(row);
  }
  EXPECT_EQ(json["rows_h_w_result"].size(), 415u);
}

TEST(SmartResize, RoundsHalvesToEven) {
  EXPECT_EQ(smart_resize({400, 720}, {}), (Size{384, 704}));             // 12.5 and 22.5 times 32
  EXPECT_EQ(smart_resize({432, 752}, {}), (Size{448, 768}));             // 13.5 and 23.5
  EXPECT_EQ(smart_resize({16, 16}, {.min_pixels = 1}), (Size{32, 32}));  // 0.5, and 0 is less than 1
}

TEST(SmartResize, RefusesSidesItCannotKeep) {
  EXPECT_EQ(smart_resize({1, 200}, {}), (Size{32, 3648}));
  EXPECT_TRUE(test::is_good_message(test::error_of([] { smart_resize({1, 201}, {}); }), "", "at most 200:1"));
  EXPECT_TRUE(test::is_good_message(test::error_of([] { smart_resize({4001, 20}, {}); }), "", "at most 200:1"));
  EXPECT_TRUE(test::is_good_message(test::error_of([] { smart_resize({0, 20}, {}); }), "", "at least one"));
  EXPECT_TRUE(test::is_good_message(test::error_of([] { smart_resize_video(2, {20, 0}, {}); }), "", "at least one"));
  EXPECT_TRUE(test::is_good_message(test::error_of([] { smart_resize_video(1, {20, 20}, {}); }), "", "has 1 frames"));
}

// Rows: frames, height, width, min and max pixels, [height, width] or null.
TEST(SmartResizeVideo, AgreesWithTransformersOnEveryRow) {
  const Json rows = test::vision_json("sizes.json");
  for (const Json& row : rows) {
    const Size size{row[1], row[2]};
    const PixelLimits limits{32, row[3], row[4]};
    EXPECT_EQ(size_or_refusal([&] { return smart_resize_video(row[0], size, limits); }), expected_size(row[5]))
        << to_text(row);
  }
  EXPECT_GT(rows.size(), 200u);
}

// Rows: height, width, new height, new width, crc32 of the result.
TEST(ResizeBicubic, AgreesWithTorchvisionBitForBit) {
  const Json rows = test::vision_json("resize.json");
  for (const Json& row : rows) {
    const Image image = test::computed_pixels(row[0], row[1]);
    const Image resized = resize_bicubic(image, {row[2], row[3]});
    EXPECT_EQ(resized.height, row[2]);
    EXPECT_EQ(resized.width, row[3]);
    EXPECT_EQ(test::crc32_of(resized.rgb), row[4]) << to_text(row);
  }
  EXPECT_GE(rows.size(), 30u);
}

TEST(ResizeBicubic, KeepsOneColour) {
  for (const int value : {0, 1, 127, 254, 255}) {
    const Image flat{37, 23, std::vector<uint8_t>(37 * 23 * 3, static_cast<uint8_t>(value))};
    for (const Size size : {Size{32, 32}, {96, 64}, {23, 640}, {2, 2}}) {
      for (const uint8_t got : resize_bicubic(flat, size).rgb) ASSERT_EQ(got, value);
    }
  }
}

TEST(ResizeBicubic, GivesTheStoredPicturesOfTheReferenceModel) {
  DUAN_NEEDS_REFERENCE();
  const std::filesystem::path models = *duan::test::reference_dir() / "golden" / "models";
  int compared = 0;
  for (const auto& entry : std::filesystem::directory_iterator(models / "goldens" / "qwen3-vl")) {
    const std::string name = entry.path().filename().string();
    const size_t begin = name.find('_') + 1;
    const bool official = name.starts_with("official_");
    if (entry.path().extension() != ".png" || (!official && !name.starts_with("resized_"))) continue;
    SCOPED_TRACE(name);
    const Image image = read_image(models / "images" / name.substr(begin)), expected = read_image(entry.path());
    const PixelLimits limits = official ? PixelLimits{} : PixelLimits{32, 4096, 24576};
    const Size size = smart_resize({image.height, image.width}, limits);
    EXPECT_EQ(size, (Size{expected.height, expected.width}));
    EXPECT_TRUE(resize_bicubic(image, size).rgb == expected.rgb);
    ++compared;
  }
  EXPECT_EQ(compared, 15);
}

TEST(ResizeBicubic, GivesPhotosOfOthersAsTorchvisionDoes) {
  DUAN_NEEDS_REFERENCE();
  const Json others = test::vision_json("others.json");
  for (const auto& [name, expected] : others.items()) {
    const Image image = read_image(*duan::test::reference_dir() / name);
    const Size size = smart_resize({image.height, image.width}, {});
    EXPECT_EQ(size, expected_size(expected["resized"])) << name;
    EXPECT_EQ(test::crc32_of(resize_bicubic(image, size).rgb), expected["resized_crc32"]) << name;
  }
}

}  // namespace
}  // namespace duan::vision
