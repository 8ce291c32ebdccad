#include "checkpoint/quantization_config.h"

#include <gtest/gtest.h>

#include "checkpoint/support.h"

namespace duan::checkpoint {
namespace {

Json w4a16() {
  return parse_json(
      R"({"quant_method":"compressed-tensors","format":"pack-quantized","quantization_status":"compressed",
    "config_groups":{"group_0":{"targets":["Linear"],
      "weights":{"num_bits":4,"type":"int","symmetric":true,"group_size":128,"strategy":"group"}}},
    "ignore":["lm_head","re:.*visual.*"]})",
      "test");
}

Json w8a8() {
  return parse_json(R"({"quant_method":"compressed-tensors","format":"int-quantized","quantization_status":"compressed",
    "config_groups":{"group_0":{"targets":["Linear"],
      "weights":{"num_bits":8,"type":"int","symmetric":true,"strategy":"channel","dynamic":false,"observer":"minmax"},
      "input_activations":{"num_bits":8,"type":"int","symmetric":true,"strategy":"tensor","dynamic":false}}},
    "ignore":[]})",
                    "test");
}

TEST(QuantizationConfig, ReadsGroupsOfFourBits) {
  const QuantizationConfig config = parse_quantization_config(w4a16(), "config.json");
  const QuantizationScheme* scheme = config.scheme_of("model.layers.0.mlp.up_proj", "Linear");
  ASSERT_NE(scheme, nullptr);
  EXPECT_EQ(scheme->bits, 4);
  EXPECT_EQ(scheme->group_size, 128);
  EXPECT_TRUE(scheme->packed);
  EXPECT_EQ(scheme->input, InputRounding::none);
  EXPECT_EQ(config.scheme_of("lm_head", "Linear"), nullptr);
  EXPECT_EQ(config.scheme_of("model.visual.blocks.0.attn.qkv", "Linear"), nullptr);
  EXPECT_EQ(config.scheme_of("model.embed_tokens", "Embedding"), nullptr);
}

TEST(QuantizationConfig, ReadsStaticAndDynamicInputs) {
  Json json = w8a8();
  EXPECT_EQ(parse_quantization_config(json, "x").schemes[0].input, InputRounding::fixed);
  Json& input = json["config_groups"]["group_0"]["input_activations"];
  input["dynamic"] = true;
  input["strategy"] = "token";
  EXPECT_EQ(parse_quantization_config(json, "x").schemes[0].input, InputRounding::dynamic);
}

TEST(QuantizationConfig, ANameWinsOverAPatternAndAPatternOverAClass) {
  Json json = w4a16();
  Json group = json["config_groups"]["group_0"];
  group["weights"]["num_bits"] = 8;
  group["targets"] = {"re:.*down_proj"};
  json["config_groups"]["group_1"] = group;
  group["weights"]["group_size"] = 32;
  group["targets"] = {"model.layers.1.mlp.down_proj"};
  json["config_groups"]["group_2"] = group;
  const QuantizationConfig config = parse_quantization_config(json, "x");
  EXPECT_EQ(config.scheme_of("model.layers.0.mlp.up_proj", "Linear")->bits, 4);
  EXPECT_EQ(config.scheme_of("model.layers.0.mlp.down_proj", "Linear")->bits, 8);
  EXPECT_EQ(config.scheme_of("model.layers.1.mlp.down_proj", "Linear")->group_size, 32);
}

struct Change {
  const char *pointer, *value, *cause;
};

TEST(QuantizationConfig, RefusesWhatItWouldComputeOtherwise) {
  const Change changes[] = {
      {"/quant_method", R"("hqq")", "quant_method \"hqq\""},
      {"/quant_method", "7", "quant_method"},
      {"/quantization_status", R"("frozen")", "\"quantization_status\" is \"frozen\""},
      {"/quantization_status", "null", "\"quantization_status\" is \"\""},
      {"/format", R"("marlin-24")", "format \"marlin-24\""},
      {"/format", R"("int-quantized")", "int-quantized"},
      {"/config_groups", "[]", "\"config_groups\" is missing or not an object"},
      {"/config_groups", "{}", "\"config_groups\" is empty"},
      {"/config_groups/group_0", "7", "config_groups"},
      {"/config_groups/group_0/targets", "[]", "no \"targets\""},
      {"/config_groups/group_0/targets", "[7]", "\"targets\" is 7"},
      {"/config_groups/group_0/targets", R"(["re:("])", "not a regular expression"},
      {"/config_groups/group_0/weights", "null", "\"weights\" is missing"},
      {"/config_groups/group_0/weights/num_bits", "3", "of 3 bits"},
      {"/config_groups/group_0/weights/type", R"("float")", "\"type\" is \"float\""},
      {"/config_groups/group_0/weights/group_size", "0", "\"group_size\" is 0"},
      {"/config_groups/group_0/weights/group_size", "9999999999", "\"group_size\" is 9999999999"},
      {"/config_groups/group_0/weights/strategy", R"("block")", "\"strategy\" is \"block\""},
      {"/config_groups/group_0/weights/dynamic", "true", "\"dynamic\" is true"},
      {"/config_groups/group_0/weights/actorder", R"("group")", "\"actorder\" is \"group\""},
      {"/config_groups/group_0/weights/block_structure", R"("128x128")", "\"block_structure\" of weights"},
      {"/config_groups/group_0/input_activations", R"({"num_bits":8,"dynamic":true})", "pack-quantized"},
      {"/config_groups/group_0/output_activations", R"({"num_bits":8})", "\"output_activations\" of a config group"},
      {"/config_groups/group_0/new_key", "1", "\"new_key\" of a config group"},
      {"/kv_cache_scheme", R"({"num_bits":8})", "\"kv_cache_scheme\""},
      {"/sparsity_config", R"({"format":"dense"})", "\"sparsity_config\""},
      {"/transform_config", R"({"a":1})", "\"transform_config\""},
      {"/ignore", R"("lm_head")", "\"ignore\""},
      {"/ignore", R"(["re:["])", "not a regular expression"},
  };
  for (const Change& change : changes) {
    Json json = w4a16();
    json[Json::json_pointer(change.pointer)] = parse_json(change.value, "test");
    const std::string what = test::error_of([&] { parse_quantization_config(json, "config.json"); });
    EXPECT_TRUE(test::is_good_message(what, "config.json", change.cause))
        << change.pointer << " " << change.value << "\n  " << what;
  }
}

TEST(QuantizationConfig, RefusesInputsItCannotRound) {
  const Change changes[] = {
      {"/num_bits", "4", "input activations of 4 bits"}, {"/strategy", R"("token")", "\"strategy\" is \"token\""},
      {"/type", R"("float")", "\"type\" is \"float\""},  {"/strategy", R"("group")", "\"strategy\" is \"group\""},
      {"/group_size", "64", "\"group_size\" of input"},
  };
  for (const Change& change : changes) {
    Json json = w8a8();
    json["config_groups"]["group_0"]["input_activations"][Json::json_pointer(change.pointer)] =
        parse_json(change.value, "test");
    const std::string what = test::error_of([&] { parse_quantization_config(json, "config.json"); });
    EXPECT_TRUE(test::is_good_message(what, "config.json", change.cause)) << change.pointer << "\n  " << what;
  }
}

}  // namespace
}  // namespace duan::checkpoint
