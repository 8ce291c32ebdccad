#include "quant/quantized_checkpoint.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/quantization_config.h"
#include "support/paths.h"

namespace duan::quant {
namespace {

Module linear(const std::string& name) {
  return {.name = name, .weight = name + ".weight", .shape = {6, 64}, .dtype = DType::bf16, .linear = 3};
}

std::string text(const std::vector<checkpoint::TensorSpec>& specs) {
  std::string out;
  for (const auto& spec : specs) {
    out += fmt::format("{} {} {}\n", spec.name, dtype_name(spec.dtype), to_string(spec.shape));
  }
  return out;
}

TEST(QuantizedCheckpoint, TensorsOfAModule) {
  EXPECT_EQ(text(module_tensors(linear("m"), {.method = Method::int8_static})),
            "m.weight I8 [6, 64]\nm.weight_scale BF16 [6, 1]\nm.input_scale BF16 [1]\n");
  EXPECT_EQ(text(module_tensors(linear("m"), {.method = Method::int8_dynamic})),
            "m.weight I8 [6, 64]\nm.weight_scale BF16 [6, 1]\n");
  const Recipe rtn{.method = Method::rtn, .weights = {.bits = 4, .group_size = 32, .symmetric = false}};
  EXPECT_EQ(text(module_tensors(linear("m"), rtn)),
            "m.weight_packed I32 [6, 8]\nm.weight_scale BF16 [6, 2]\nm.weight_zero_point I32 [1, 2]\n"
            "m.weight_shape I64 [2]\n");
  Recipe awq = rtn;
  awq.method = Method::awq;
  EXPECT_EQ(text(module_tensors(linear("m"), awq)), text(module_tensors(linear("m"), rtn)));
  Module table = linear("model.embed_tokens");
  table.embedding = true;
  EXPECT_EQ(text(module_tensors(table, {.method = Method::int8_static})),
            "model.embed_tokens.weight I8 [6, 64]\nmodel.embed_tokens.weight_scale BF16 [6, 1]\n"
            "lm_head.weight_scale BF16 [6, 1]\nlm_head.input_scale BF16 [1]\n");
  table.linear.reset();
  EXPECT_EQ(text(module_tensors(table, {.method = Method::int8_static})),
            "model.embed_tokens.weight I8 [6, 64]\nmodel.embed_tokens.weight_scale BF16 [6, 1]\n");
}

TEST(QuantizedCheckpoint, TheConfigSaysWhatOurReaderUnderstands) {
  Module table = linear("model.embed_tokens"), kept = linear("b.q_proj");
  table.embedding = true;
  kept.kept = "--keep";
  const Json json = quantization_config({table, linear("a.q_proj"), kept}, {.method = Method::int8_static});
  const auto config = checkpoint::parse_quantization_config(json, "config");
  EXPECT_EQ(config.scheme_of("a.q_proj", "Linear")->input, InputRounding::fixed);
  EXPECT_EQ(config.scheme_of("lm_head", "Linear")->input, InputRounding::fixed);
  EXPECT_EQ(config.scheme_of("b.q_proj", "Linear"), nullptr);
  EXPECT_EQ(config.scheme_of("model.embed_tokens", "Embedding")->input, InputRounding::none);
  table.kept = "--keep";
  const auto without = checkpoint::parse_quantization_config(
      quantization_config({table, linear("a.q_proj")}, {.method = Method::int8_dynamic}), "config");
  EXPECT_EQ(without.scheme_of("lm_head", "Linear"), nullptr);
  EXPECT_EQ(without.scheme_of("model.embed_tokens", "Embedding"), nullptr);
  EXPECT_EQ(without.scheme_of("a.q_proj", "Linear")->input, InputRounding::dynamic);
  for (const int64_t group : {int64_t{0}, int64_t{32}}) {
    const Recipe rtn{.method = Method::rtn, .weights = {.bits = 4, .group_size = group, .symmetric = false}};
    const auto packed = checkpoint::parse_quantization_config(quantization_config({linear("a")}, rtn), "config");
    EXPECT_TRUE(packed.scheme_of("a", "Linear")->packed);
    EXPECT_EQ(packed.scheme_of("a", "Linear")->group_size, group);
    EXPECT_FALSE(packed.scheme_of("a", "Linear")->symmetric);
  }
}

TEST(QuantizedCheckpoint, ConfigKeepsItsBytes) {
  const Json added = {{"quant_method", "x"}, {"list", {1, 2}}};
  const std::string source = "{\n    \"eps\": 1e-06,\t\"name\": \"a}b\",\n \"last\": {\"x\": [ ] }\n}\n\n";
  const std::string text = with_quantization_config(source, added, "config.json");
  const std::string before = "{\n    \"eps\": 1e-06,\t\"name\": \"a}b\",\n \"last\": {\"x\": [ ] }";
  EXPECT_EQ(text.substr(0, before.size()), before);
  EXPECT_EQ(text.substr(text.size() - 4), "\n}\n\n");
  EXPECT_EQ(parse_json(text, "").at("quantization_config"), added);
  EXPECT_EQ(parse_json(with_quantization_config("{}", added, ""), "").at("quantization_config"), added);
  const std::string null = with_quantization_config(R"({"quantization_config": null, "a": 1})", added, "");
  EXPECT_EQ(parse_json(null, "").at("quantization_config"), added);
  EXPECT_THROW(with_quantization_config("[]", added, ""), Error);
}

TEST(QuantizedCheckpoint, AnotherConfigTakesThePlaceOfTheOldOne) {
  const Json added = {{"quant_method", "x"}, {"list", {1, 2}}};
  const auto replaced = [&](const std::string& before, const std::string& old, const std::string& after) {
    const std::string text = with_quantization_config(before + old + after, added, "config.json");
    EXPECT_EQ(text.substr(0, before.size()), before);
    EXPECT_EQ(text.substr(text.size() - after.size()), after);
    EXPECT_EQ(parse_json(text, "").at("quantization_config"), added);
  };
  replaced("{\"a\": 1e-06,\t\"quantization_config\":  ", "{\"b\": [1, {\"c\": \"},]\"}], \"d\": \"\\\"\"}",
           " ,\n \"z\" : {} }\n");
  replaced("{\"x\": {\"quantization_config\": 1}, \"quantization_config\": ", "null", "}");
  replaced("{ \"a\": \"quantization_config\", \"quantization_config\":", "\"old, }\"", "\n}");
  // A key that is spelled with escapes: the same object, not the same bytes.
  const std::string text = with_quantization_config(R"({"quantization\u005fconfig": 1, "a": 2})", added, "");
  EXPECT_EQ(parse_json(text, ""), (Json{{"quantization_config", added}, {"a", 2}}));
}

TEST(QuantizedCheckpoint, ShardsAreAsLargeAsAllowed) {
  std::vector<OutputTensor> tensors;
  std::vector<std::vector<float>> values;
  for (int i = 0; i < 5; ++i) values.emplace_back(static_cast<size_t>(i == 2 ? 300 : 10), static_cast<float>(i));
  for (size_t i = 0; i < values.size(); ++i) {
    tensors.push_back({{fmt::format("t{}", i), DType::f32, {static_cast<int64_t>(values[i].size())}},
                       [&values, i](const checkpoint::ByteSink& sink) { sink(std::as_bytes(std::span(values[i]))); }});
  }
  const test::TemporaryDir one, several;
  uint64_t seen = 0;
  EXPECT_EQ(write_shards(one.path(), tensors, 1'000'000, [&](uint64_t bytes) { seen = bytes; }).size(), 1u);
  EXPECT_EQ(seen, 4u * 340);
  const auto files = write_shards(several.path(), tensors, 100, [](uint64_t) {});
  ASSERT_EQ(files.size(), 4u);  // t0 t1 | t2 | t3 t4 | index
  EXPECT_EQ(files[0].name, "model-00001-of-00003.safetensors");
  for (const auto& folder : {one.path(), several.path()}) {
    const auto checkpoint = checkpoint::Checkpoint::open(folder);
    for (size_t i = 0; i < values.size(); ++i) {
      const auto view = checkpoint.find(fmt::format("t{}", i));
      ASSERT_TRUE(view);
      EXPECT_EQ(std::memcmp(view->data, values[i].data(), view->bytes), 0);
    }
  }
}

}  // namespace
}  // namespace duan::quant
