#include <gtest/gtest.h>

#include "vision/preprocessor.h"
#include "vision/support.h"

namespace duan::vision {
namespace {

class ConfigTest : public testing::Test {
 protected:
  PreprocessorConfig load(const std::string& text) {
    test::write_bytes(file(), text);
    return PreprocessorConfig::load(folder_.path());
  }
  std::filesystem::path file() const { return folder_.path() / "preprocessor_config.json"; }
  const duan::test::TemporaryDir folder_;
};

TEST_F(ConfigTest, WithoutAFileItIsTheOfficialOne) {
  const PreprocessorConfig still = PreprocessorConfig::load(folder_.path());
  EXPECT_EQ(still.min_pixels, 65536);
  EXPECT_EQ(still.max_pixels, 16777216);
  EXPECT_EQ(still.columns(), 1536);
  const PreprocessorConfig video = PreprocessorConfig::load_video(folder_.path());
  EXPECT_EQ(video.min_pixels, 4096);
  EXPECT_EQ(video.max_pixels, 25165824);
}

TEST_F(ConfigTest, ReadsAreasUnderBothNames) {
  EXPECT_EQ(load(R"({"size": {"shortest_edge": 1024, "longest_edge": 2048}})").min_pixels, 1024);
  EXPECT_EQ(load(R"({"size": {"shortest_edge": 1024, "longest_edge": 2048}})").max_pixels, 2048);
  const PreprocessorConfig config =
      load(R"({"min_pixels": 7, "max_pixels": 9000, "size": {"shortest_edge": 1, "longest_edge": 2}})");
  EXPECT_EQ(config.min_pixels, 7);
  EXPECT_EQ(config.max_pixels, 9000);
  EXPECT_EQ(load(R"({"size": null, "min_pixels": null})").min_pixels, 65536);
}

TEST_F(ConfigTest, ReadsTheOtherKeys) {
  const PreprocessorConfig config = load(
      R"({"patch_size": 14, "merge_size": 3, "temporal_patch_size": 2, "image_mean": [0.1, 0.2, 0.3],
          "image_std": [1, 2, 4], "resample": 3, "do_resize": true, "rescale_factor": 0.00392156862745098,
          "image_processor_type": "Qwen2VLImageProcessorFast", "processor_class": "Qwen3VLProcessor"})");
  EXPECT_EQ(config.limits().factor, 42);
  EXPECT_EQ(config.mean[1], 0.2f);
  EXPECT_EQ(config.std[2], 4.0f);
}

TEST_F(ConfigTest, RefusesWhatAsksForOtherArithmetic) {
  struct Case {
    const char* text;
    const char* cause;
  };
  for (const Case& c : std::vector<Case>{{"[]", "not a JSON object"},
                                         {"{", "not valid JSON"},
                                         {R"({"do_resize": false})", "\"do_resize\" is false"},
                                         {R"({"do_rescale": false})", "\"do_rescale\""},
                                         {R"({"do_normalize": false})", "\"do_normalize\""},
                                         {R"({"do_convert_rgb": false})", "\"do_convert_rgb\""},
                                         {R"({"do_center_crop": true})", "\"do_center_crop\" is true"},
                                         {R"({"do_pad": true})", "\"do_pad\""},
                                         {R"({"do_resize": "no"})", "do_resize"},
                                         {R"({"resample": 2})", "\"resample\" is 2"},
                                         {R"({"rescale_factor": 1})", "\"rescale_factor\""},
                                         {R"({"image_processor_type": "CLIPImageProcessor"})", "CLIPImageProcessor"},
                                         {R"({"temporal_patch_size": 1})", "\"temporal_patch_size\" is 1"},
                                         {R"({"patch_size": 0})", "\"patch_size\" is 0"},
                                         {R"({"patch_size": 16.5})", "patch_size"},
                                         {R"({"merge_size": 99})", "\"merge_size\" is 99"},
                                         {R"({"size": 3})", "\"size\" is not an object"},
                                         {R"({"size": {"height": 224, "width": 224}})", "\"size\" has \"height\""},
                                         {R"({"size": {"shortest_edge": 0}})", "\"shortest_edge\" is 0"},
                                         {R"({"max_pixels": 100})", "at least 65536 pixels and at most 100"},
                                         {R"({"max_pixels": 99999999999})", "\"max_pixels\""},
                                         {R"({"image_mean": [0.5, 0.5]})", "three numbers"},
                                         {R"({"image_mean": 0.5})", "three numbers"},
                                         {R"({"image_std": [0.5, 0, 0.5]})", "three numbers"},
                                         {R"({"image_std": [0.5, "a", 0.5]})", "three numbers"},
                                         {R"({"patch_size": 16, "patch_size": 14})", "duplicate"}}) {
    const std::string what = test::error_of([&] { load(c.text); });
    EXPECT_TRUE(test::is_good_message(what, file().string(), c.cause)) << c.text << ": " << what;
  }
}

TEST_F(ConfigTest, RefusesVideosThatAreCappedByFrame) {
  test::write_bytes(folder_.path() / "video_preprocessor_config.json", R"({"cap_pixels_per_frame": true})");
  const std::string what = test::error_of([&] { PreprocessorConfig::load_video(folder_.path()); });
  EXPECT_NE(what.find("\"cap_pixels_per_frame\" is true"), std::string::npos) << what;
}

TEST(PreprocessorConfig, ReadsThoseOfThePublishedModels) {
  DUAN_NEEDS_REFERENCE();
  for (const char* name : {"2B", "4B", "8B"}) {
    const auto folder =
        *duan::test::reference_dir() / "golden/tokenizer/hf" / ("Qwen3-VL-" + std::string(name) + "-Instruct");
    const PreprocessorConfig still = PreprocessorConfig::load(folder), video = PreprocessorConfig::load_video(folder);
    EXPECT_EQ(still.min_pixels, 65536);
    EXPECT_EQ(still.max_pixels, 16777216);
    EXPECT_EQ(still.limits().factor, 32);
    EXPECT_EQ(video.min_pixels, 4096);
    EXPECT_EQ(video.max_pixels, 25165824);
  }
}

}  // namespace
}  // namespace duan::vision
