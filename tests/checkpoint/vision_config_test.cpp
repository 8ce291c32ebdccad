#include <gtest/gtest.h>

#include "base/error.h"
#include "checkpoint/config.h"
#include "support/paths.h"

namespace duan::checkpoint {
namespace {

Json published() {
  return parse_json(R"({"depth":27,"hidden_size":1152,"intermediate_size":4304,"num_heads":16,"in_channels":3,
    "patch_size":16,"temporal_patch_size":2,"spatial_merge_size":2,"num_position_embeddings":2304,
    "out_hidden_size":4096,"deepstack_visual_indexes":[8,16,24],"hidden_act":"gelu_pytorch_tanh",
    "initializer_range":0.02,"model_type":"qwen3_vl"})",
                    "test");
}

std::string error_of(const Json& json) {
  try {
    parse_vision_config(json, "vision");
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

TEST(VisionConfig, ReadsThePublishedOne) {
  const VisionConfig config = parse_vision_config(published(), "vision");
  EXPECT_EQ(config.head_dim(), 72);
  EXPECT_EQ(config.position_side(), 48);
  EXPECT_EQ(config.patch_values(), 1536);
  EXPECT_EQ(config.merged_patches(), 4);
  EXPECT_EQ(config.deepstack_visual_indexes, (std::vector<int64_t>{8, 16, 24}));
}

TEST(VisionConfig, NamesWhatIsNotSupportedOrDoesNotFit) {
  const std::vector<std::tuple<const char*, Json, const char*>> cases = {
      {"depth", 0, "\"depth\" is 0, expected 1 to"},
      {"hidden_size", 1150, "is not a head width that divides by 4"},
      {"num_position_embeddings", 2303, "\"num_position_embeddings\" 2303 is not a square"},
      {"hidden_act", "gelu", "\"hidden_act\": \"gelu\" is not supported"},
      {"in_channels", 1, "\"in_channels\" is 1, expected 3"},
      {"deepstack_visual_indexes", Json::array({8, 8}), "expected ascending numbers of its 27 blocks"},
      {"deepstack_visual_indexes", Json::array({27}), "expected ascending numbers of its 27 blocks"},
      {"deepstack_visual_indexes", 3, "\"deepstack_visual_indexes\" is not a list"},
      {"patch_size", -16, "\"patch_size\" is -16"},
  };
  for (const auto& [key, value, message] : cases) {
    Json json = published();
    json[key] = value;
    EXPECT_NE(error_of(json).find(message), std::string::npos) << key << ": " << error_of(json);
  }
}

TEST(VisionConfig, IsPartOfAModelsConfig) {
  const auto folder = test::data_dir() / "vl" / "qwen3-vl";
  const ModelConfig config = read_config(folder);
  EXPECT_EQ(config.model_type, "qwen3_vl");
  EXPECT_EQ(config.head_dim, 24);
  EXPECT_EQ(config.rope.axes, RopeAxes(InterleavedAxes{{6, 3, 3}}));
  EXPECT_EQ(config.image_tokens, (ImageTokens{122, 123, 120, 121}));
  EXPECT_TRUE(config.tie_word_embeddings);

  const auto error_with = [&](const char* section, const char* key, const Json& value) {
    Json json = read_json(folder / "config.json");
    (*section != '\0' ? json[section] : json)[key] = value;
    try {
      parse_config(json, "config.json");
      return std::string();
    } catch (const Error& e) {
      return std::string(e.what());
    }
  };
  EXPECT_EQ(error_with("", "image_token_id", 128), "config.json: \"image_token_id\" is 128, expected 0 to 127");
  EXPECT_EQ(error_with("", "vision_config", nullptr), "config.json: \"vision_config\" is not an object");
  EXPECT_EQ(error_with("vision_config", "out_hidden_size", 32),
            "config.json: \"out_hidden_size\" of the vision tower is 32, \"hidden_size\" of the decoder 64");
  EXPECT_EQ(error_with("text_config", "model_type", "qwen3"),
            "config.json: text_config: model_type \"qwen3\" is not supported, only qwen3_vl_text");
  EXPECT_NE(error_with("text_config", "rope_scaling", {{"rope_type", "yarn"}, {"factor", 2.0}}).find("not supported"),
            std::string::npos);
  EXPECT_NE(
      error_with("text_config", "rope_scaling", {{"rope_type", "default"}}).find("\"mrope_section\" is not a list"),
      std::string::npos);
  EXPECT_NE(
      error_with("text_config", "rope_scaling", {{"rope_type", "default"}, {"mrope_section", Json::array({6, 3, 4})}})
          .find("is not half of \"head_dim\" 24"),
      std::string::npos);
}

}  // namespace
}  // namespace duan::checkpoint
