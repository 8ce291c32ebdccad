#include "checkpoint/quantized_weight.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "checkpoint/support.h"
#include "checkpoint/writer.h"
#include "support/paths.h"

namespace duan::checkpoint {
namespace {

struct Tensor {
  TensorSpec spec;
  std::vector<std::byte> bytes;
};

Tensor filled(const std::string& name, DType dtype, const Shape& shape, const std::function<float(size_t)>& value) {
  Tensor tensor{{name, dtype, shape}, {}};
  const auto count = static_cast<size_t>(*element_count(shape));
  tensor.bytes.resize(count * dtype_size(dtype));
  for (size_t i = 0; i < count; ++i) {
    std::byte* at = tensor.bytes.data() + i * dtype_size(dtype);
    const float v = value(i);
    const auto integer = static_cast<int64_t>(v);
    if (dtype == DType::f32) {
      std::memcpy(at, &v, 4);
    } else {
      std::memcpy(at, &integer, dtype_size(dtype));
    }
  }
  return tensor;
}

void write(const std::filesystem::path& folder, const std::vector<Tensor>& tensors) {
  std::vector<TensorSpec> specs;
  for (const Tensor& tensor : tensors) specs.push_back(tensor.spec);
  write_safetensors(folder / "model.safetensors", specs,
                    [&](size_t i, const ByteSink& sink) { sink(std::as_bytes(std::span(tensors[i].bytes))); });
}

QuantizationConfig packed(bool symmetric) {
  return {{{.targets = {"Linear"}, .bits = 4, .symmetric = symmetric, .group_size = 32, .packed = true}}, {"lm_head"}};
}

QuantizationConfig int8(InputRounding input) {
  return {{{.targets = {"Linear", "Embedding"}, .bits = 8, .input = input}}, {}};
}

std::vector<Tensor> packed_tensors() {
  return {filled("a.weight_packed", DType::i32, {2, 8}, [](size_t i) { return static_cast<float>(i); }),
          filled("a.weight_scale", DType::f32, {2, 2}, [](size_t i) { return 0.5f * static_cast<float>(i + 1); }),
          filled("a.weight_shape", DType::i64, {2}, [](size_t i) { return i == 0 ? 2.0f : 64.0f; })};
}

std::vector<Tensor> int8_tensors() {
  return {filled("a.weight", DType::i8, {2, 4}, [](size_t i) { return static_cast<float>(i) - 4; }),
          filled("a.weight_scale", DType::f32, {2, 1}, [](size_t i) { return static_cast<float>(i + 1); }),
          filled("a.input_scale", DType::f32, {1}, [](size_t) { return 0.25f; })};
}

TEST(QuantizedWeight, ReadsPackedGroups) {
  const duan::test::TemporaryDir folder;
  write(folder.path(), packed_tensors());
  const Checkpoint checkpoint = Checkpoint::open(folder.path(), packed(true));
  const Weight weight = checkpoint.weight("a.weight", {2, 64});
  const auto& format = std::get<IntGroup>(weight.format);
  EXPECT_EQ(format.bits, 4);
  EXPECT_EQ(format.group_size, 32);
  EXPECT_EQ(code_at(format, 64, 1, 0), 0);  // word 8: nibble 8 means 0
  EXPECT_EQ(code_at(format, 64, 0, 8), -7);
  std::vector<float> row(64);
  weight.row_to_float(0, row.data());
  EXPECT_EQ(row[8], -3.5f);
  EXPECT_EQ(row[32], -4.0f);  // group 1 has scale 1, word 4: nibble 4
  EXPECT_EQ(checkpoint.tensors_of("a.weight").size(), 3u);
}

TEST(QuantizedWeight, ReadsInt8ChannelsAndTheirInputs) {
  const duan::test::TemporaryDir folder;
  write(folder.path(), int8_tensors());
  const auto input = [&](InputRounding rounding) {
    const Checkpoint checkpoint = Checkpoint::open(folder.path(), int8(rounding));
    return std::get<Int8Channel>(checkpoint.weight("a.weight", {2, 4}).format).input;
  };
  EXPECT_EQ(input(InputRounding::none), InputScheme{});
  EXPECT_EQ(input(InputRounding::dynamic), (InputScheme{InputRounding::dynamic}));
  EXPECT_EQ(input(InputRounding::fixed), (InputScheme{InputRounding::fixed, 0.25f}));
}

TEST(QuantizedWeight, ATiedHeadHasItsInputBesideTheEmbedding) {
  const duan::test::TemporaryDir folder;
  std::vector<Tensor> tensors = int8_tensors();
  tensors[0].spec.name = "model.embed_tokens.weight";
  tensors[1].spec.name = "model.embed_tokens.weight_scale";
  tensors[2].spec.name = "lm_head.input_scale";
  write(folder.path(), tensors);
  const QuantizationConfig config{
      {{.targets = {"Embedding"}, .bits = 8}, {.targets = {"Linear"}, .bits = 8, .input = InputRounding::fixed}}, {}};
  const Checkpoint checkpoint = Checkpoint::open(folder.path(), config);
  EXPECT_EQ(std::get<Int8Channel>(checkpoint.weight("model.embed_tokens.weight", {2, 4}).format).input,
            (InputScheme{InputRounding::fixed, 0.25f}));
}

TEST(QuantizedWeight, SaysWhatDoesNotFit) {
  struct Case {
    std::function<void(std::vector<Tensor>&)> change;
    QuantizationConfig config;
    bool is_packed;
    const char* cause;
  };
  const auto drop = [](size_t i) {
    return [i](std::vector<Tensor>& t) { t.erase(t.begin() + static_cast<std::ptrdiff_t>(i)); };
  };
  const auto replace = [](size_t i, Tensor tensor) { return [i, tensor](std::vector<Tensor>& t) { t[i] = tensor; }; };
  const auto add = [](Tensor tensor) { return [tensor](std::vector<Tensor>& t) { t.push_back(tensor); }; };
  const auto zero = [](size_t) { return 0.0f; };
  const auto keep = [](std::vector<Tensor>&) {};
  QuantizationConfig other_group = packed(true), odd_group = packed(true), eight = packed(true);
  other_group.schemes[0].group_size = 16;
  odd_group.schemes[0].group_size = 48;
  eight.schemes[0].bits = 8;
  const Case cases[] = {
      {drop(1), packed(true), true, "\"a.weight_scale\" is missing"},
      {drop(2), packed(true), true, "\"a.weight_shape\" is missing"},
      {keep, other_group, true, "\"a.weight_scale\" has shape [2, 2], expected [2, 4]"},
      {keep, odd_group, true, "not a multiple of the group size 48"},
      {keep, eight, true, "\"a.weight_packed\" has shape [2, 8], expected [2, 16]"},
      {keep, packed(false), true, "\"a.weight_zero_point\" is missing"},
      {keep, QuantizationConfig{}, true, "no quantization_config for it"},
      {replace(0, filled("a.weight_packed", DType::i64, {2, 8}, zero)), packed(true), true, "dtype I64, expected I32"},
      {replace(1, filled("a.weight_scale", DType::i32, {2, 2}, zero)), packed(true), true,
       "dtype I32, expected a float"},
      {replace(2, filled("a.weight_shape", DType::i64, {2}, zero)), packed(true), true,
       "says 0 for axis 0, expected 2"},
      {replace(2, filled("a.weight_shape", DType::u8, {2}, zero)), packed(true), true, "dtype U8, expected I64"},
      {add(filled("a.weight_g_idx", DType::i32, {64}, zero)), packed(true), true, "columns out of order"},
      {add(filled("a.weight_zero_point", DType::i32, {1, 2}, zero)), packed(true), true, "the scheme is symmetric"},
      {drop(1), int8(InputRounding::none), false, "\"a.weight_scale\" is missing"},
      {drop(2), int8(InputRounding::fixed), false, "\"a.input_scale\" is missing"},
      {replace(2, filled("a.input_scale", DType::f32, {1}, zero)), int8(InputRounding::fixed), false,
       "\"a.input_scale\" is 0"},
      {replace(2, filled("a.input_scale", DType::f32, {1}, [](size_t) { return NAN; })), int8(InputRounding::fixed),
       false, "\"a.input_scale\" is nan"},
      {replace(1, filled("a.weight_scale", DType::f32, {2}, zero)), int8(InputRounding::none), false,
       "expected [2, 1]"},
      {replace(0, filled("a.weight", DType::f32, {2, 4}, zero)), int8(InputRounding::none), false,
       "holds plain numbers"},
  };
  for (const Case& c : cases) {
    const duan::test::TemporaryDir folder;
    std::vector<Tensor> tensors = c.is_packed ? packed_tensors() : int8_tensors();
    c.change(tensors);
    write(folder.path(), tensors);
    const Checkpoint checkpoint = Checkpoint::open(folder.path(), c.config);
    const Shape shape = c.is_packed ? Shape{2, 64} : Shape{2, 4};
    const std::string what = test::error_of([&] { (void)checkpoint.weight("a.weight", shape); });
    EXPECT_TRUE(test::is_good_message(what, folder.path().string(), c.cause)) << c.cause << "\n  " << what;
  }
}

}  // namespace
}  // namespace duan::checkpoint
