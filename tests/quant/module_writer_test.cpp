#include "quant/module_writer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace duan::quant {
namespace {

TEST(ModuleWriter, StoresNumbersInTheDtypeAskedFor) {
  const std::vector<float> values{1.5f, -2, 0.1f};
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    const std::vector<std::byte> bytes = as_stored(values, dtype);
    ASSERT_EQ(bytes.size(), 3 * dtype_size(dtype));
    std::vector<float> back(3);
    to_float(dtype, bytes.data(), 3, back.data());
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(back[i], nearest(dtype, values[i]));
  }
}

// Nine rows: zero points of eight share a word.
TEST(ModuleWriter, WritesWhatTheFormatOfGroupsReads) {
  constexpr int64_t kRows = 9, kColumns = 16, kGroup = 8;
  const Module module{.name = "m", .weight = "m.weight", .shape = {kRows, kColumns}, .dtype = DType::f32, .linear = 0};
  const Recipe recipe{.method = Method::rtn, .weights = {.bits = 4, .group_size = kGroup, .symmetric = false}};
  std::vector<RoundedRow> rows(kRows);
  for (int64_t n = 0; n < kRows; ++n) {
    for (int64_t c = 0; c < kColumns; ++c) rows[n].codes.push_back(static_cast<int8_t>((n * 5 + c * 3) % 16 - 8));
    for (int64_t g = 0; g < kColumns / kGroup; ++g) {
      rows[n].scales.push_back(0.25f * static_cast<float>(n + g + 1));
      rows[n].zero_points.push_back(static_cast<int8_t>((n + 2 * g) % 16 - 8));
    }
  }
  ModuleWriter writer(module, recipe, std::nullopt);
  std::map<std::string, std::vector<std::byte>> tensors;
  const std::vector<checkpoint::TensorSpec> specs = module_tensors(module, recipe);
  const auto sink = [&](const std::string& name) {
    return [&, name](std::span<const std::byte> bytes) {
      tensors[name].insert(tensors[name].end(), bytes.begin(), bytes.end());
    };
  };
  writer.add({0, 4, {}, std::span(rows).first(4)}, sink(specs[0].name));
  writer.add({4, 5, {}, std::span(rows).subspan(4)}, sink(specs[0].name));
  for (size_t i = 1; i < specs.size(); ++i) writer.write(specs[i], sink(specs[i].name));
  for (const checkpoint::TensorSpec& spec : specs) EXPECT_EQ(tensors[spec.name].size(), bytes_of(spec)) << spec.name;

  const IntGroup format{4,
                        kGroup,
                        tensors["m.weight_packed"].data(),
                        {DType::f32, tensors["m.weight_scale"].data()},
                        tensors["m.weight_zero_point"].data()};
  const Weight weight{"m", module.shape, format};
  std::vector<float> values(kColumns), expected(kColumns);
  for (int64_t n = 0; n < kRows; ++n) {
    weight.row_to_float(n, values.data());
    dequantize_row(rows[static_cast<size_t>(n)], recipe.weights, expected);
    EXPECT_EQ(values, expected) << n;
    for (int64_t g = 0; g < kColumns / kGroup; ++g) {
      EXPECT_EQ(zero_point_at(format, kColumns, n, g),
                rows[static_cast<size_t>(n)].zero_points[static_cast<size_t>(g)]);
    }
  }
  int64_t shape[2];
  std::memcpy(shape, tensors["m.weight_shape"].data(), sizeof(shape));
  EXPECT_EQ(shape[0], kRows);
  EXPECT_EQ(shape[1], kColumns);
}

TEST(ModuleWriter, StaticLayersCarryTheScaleOfTheirInputs) {
  const Module module{.name = "m", .weight = "m.weight", .shape = {1, 4}, .dtype = DType::bf16, .linear = 0};
  const Recipe recipe{.method = Method::int8_static};
  ModuleWriter writer(module, recipe, 0.5f);
  std::vector<RoundedRow> rows{{{1, -2, 3, -128}, {2.0f}, {0}}};
  std::vector<std::byte> codes, scale, input_scale;
  writer.add({0, 1, {}, rows}, [&](std::span<const std::byte> bytes) { codes.assign(bytes.begin(), bytes.end()); });
  writer.write({"m.weight_scale", DType::bf16, {1, 1}},
               [&](std::span<const std::byte> bytes) { scale.assign(bytes.begin(), bytes.end()); });
  writer.write({"m.input_scale", DType::bf16, {1}},
               [&](std::span<const std::byte> bytes) { input_scale.assign(bytes.begin(), bytes.end()); });
  ASSERT_EQ(codes.size(), 4u);
  EXPECT_EQ(static_cast<int8_t>(codes[3]), -128);
  EXPECT_EQ(scale, as_stored(std::vector<float>{2.0f}, DType::bf16));
  EXPECT_EQ(input_scale, as_stored(std::vector<float>{0.5f}, DType::bf16));
}

}  // namespace
}  // namespace duan::quant
