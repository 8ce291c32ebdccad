#include "vision/preprocessor.h"

#include <gtest/gtest.h>

#include <cstring>

#include "checkpoint/safetensors.h"
#include "vision/decode.h"
#include "vision/support.h"

namespace duan::vision {
namespace {

template <class T>
std::vector<T> tensor(const checkpoint::SafetensorsFile& file, const std::string& name) {
  const auto view = file.find(name);
  if (!view) throw Error("has no " + name, file.path().string());
  std::vector<T> values(view->bytes / sizeof(T));
  std::memcpy(values.data(), view->data, view->bytes);
  return values;
}

Grid grid_from(const Json& json) { return {json[0], json[1], json[2]}; }

PreprocessorConfig config_from(const Json& json) {
  const duan::test::TemporaryDir folder;
  test::write_bytes(folder.path() / "preprocessor_config.json", to_text(json));
  return PreprocessorConfig::load(folder.path());
}

TEST(Preprocessor, CutsStillsAsTransformersDoes) {
  for (const Json& row : test::vision_json("patches.json")) {
    SCOPED_TRACE(to_text(row));
    const PreprocessorConfig config = config_from(row["config"]);
    const Size size{row["size"][0], row["size"][1]};
    const Patches patches = preprocess(test::computed_pixels(size.height, size.width), config);
    EXPECT_EQ(patches.grid, grid_from(row["grid"]));
    EXPECT_EQ(grid_of(size, config), patches.grid);
    EXPECT_EQ(static_cast<int64_t>(patches.values.size()), patches.grid.patches() * config.columns());
    EXPECT_EQ(test::crc32_of(patches.values), row["values"]);
  }
}

// Frame k is computed_pixels without its first k rows.
TEST(Preprocessor, CutsFramesAsTransformersDoes) {
  for (const Json& row : test::vision_json("frames.json")) {
    SCOPED_TRACE(to_text(row));
    PreprocessorConfig config;
    config.min_pixels = row["areas"][0];
    config.max_pixels = row["areas"][1];
    const int64_t count = row["frames"], height = row["size"][0], width = row["size"][1];
    std::vector<Image> frames;
    for (int64_t k = 0; k < count; ++k) {
      Image image = test::computed_pixels(height + k, width);
      image.rgb.erase(image.rgb.begin(), image.rgb.begin() + k * width * 3);
      image.height = height;
      frames.push_back(image);
    }
    const Size common = smart_resize_video(count, {height, width}, config.limits());
    Grid grid{0, 0, 0};
    std::vector<float> values;
    for (int64_t k = 0; k < count; k += 2) {
      const auto first = static_cast<size_t>(k), second = static_cast<size_t>(std::min(k + 1, count - 1));
      const Patches pair = preprocess_frames(frames[first], frames[second], common, config);
      values.insert(values.end(), pair.values.begin(), pair.values.end());
      grid = {grid.t + 1, pair.grid.h, pair.grid.w};
    }
    EXPECT_EQ(grid, grid_from(row["grid"]));
    EXPECT_EQ(test::crc32_of(values), row["values"]);
  }
}

TEST(Preprocessor, GivesTheStoredPixelValuesOfTheReferenceModel) {
  DUAN_NEEDS_REFERENCE();
  const std::filesystem::path models = *duan::test::reference_dir() / "golden" / "models";
  const PreprocessorConfig config = PreprocessorConfig::load(models / "models" / "qwen3-vl");
  EXPECT_EQ(config.max_pixels, 24576);
  for (const std::string name : {"a_text_160x120", "b_shapes_96x64", "c_wide_333x40"}) {
    SCOPED_TRACE(name);
    const checkpoint::SafetensorsFile golden(models / "goldens" / "qwen3-vl" / ("pixels_" + name + ".safetensors"));
    const Patches patches = preprocess(read_image(models / "images" / (name + ".png")), config);
    EXPECT_EQ((std::vector<int64_t>{patches.grid.t, patches.grid.h, patches.grid.w}),
              tensor<int64_t>(golden, "image_grid_thw"));
    EXPECT_TRUE(patches.values == tensor<float>(golden, "pixel_values"));
  }
}

TEST(Preprocessor, GivesTheStoredVideoOfTheReferenceModel) {
  DUAN_NEEDS_REFERENCE();
  const std::filesystem::path models = *duan::test::reference_dir() / "golden" / "models";
  const PreprocessorConfig config = PreprocessorConfig::load_video(models / "models" / "qwen3-vl");
  const checkpoint::SafetensorsFile golden(models / "goldens" / "qwen3-vl" / "case_video.safetensors");
  std::vector<Image> frames;
  for (int k = 0; k < 5; ++k) {
    frames.push_back(read_image(models / "images" / ("video_frame" + std::to_string(k) + ".png")));
  }
  const Size common = smart_resize_video(5, {frames[0].height, frames[0].width}, config.limits());
  std::vector<float> values;
  for (size_t k = 0; k < 5; k += 2) {
    const Patches pair = preprocess_frames(frames[k], frames[std::min<size_t>(k + 1, 4)], common, config);
    values.insert(values.end(), pair.values.begin(), pair.values.end());
  }
  EXPECT_TRUE(values == tensor<float>(golden, "pixel_values_videos"));
  EXPECT_EQ(tensor<int64_t>(golden, "video_grid_thw"),
            (std::vector<int64_t>{3, common.height / 16, common.width / 16}));
}

TEST(Preprocessor, TheHashTellsPixelsSizesAndModesApart) {
  PreprocessorConfig config;
  config.min_pixels = 1;
  const Image image = test::computed_pixels(64, 64);
  const uint64_t hash = preprocess(image, config).hash;
  EXPECT_EQ(preprocess(image, config).hash, hash);
  Image changed = image;
  changed.rgb.back() ^= 1;
  EXPECT_NE(preprocess(changed, config).hash, hash);
  const Image flat{64, 32, std::vector<uint8_t>(64 * 32 * 3)}, tall{32, 64, flat.rgb};  // the same bytes
  EXPECT_NE(preprocess(flat, config).hash, preprocess(tall, config).hash);
  EXPECT_NE(preprocess_frames(image, image, {64, 64}, config).hash, hash);
  EXPECT_NE(preprocess_frames(image, changed, {64, 64}, config).hash,
            preprocess_frames(changed, image, {64, 64}, config).hash);
}

TEST(Preprocessor, CountsTokens) {
  const Grid grid = grid_of({3000, 4000}, {});
  EXPECT_EQ(grid, (Grid{1, 188, 250}));
  EXPECT_EQ(grid.patches(), 47000);
  EXPECT_EQ(grid.tokens(2), 11750);
  EXPECT_EQ(grid_of({1, 1}, {}).tokens(2), 64);
}

}  // namespace
}  // namespace duan::vision
