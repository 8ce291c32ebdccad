// Plain copies of quantized models: what their weights are, that they compute the same, and what is refused.
#include "quant/dequantize.h"

#include <gtest/gtest.h>

#include <cmath>

#include "quant/quantize.h"
#include "support/errors.h"
#include "support/logits.h"
#include "support/paths.h"
#include "support/rounded_models.h"

namespace duan::quant {
namespace {
namespace fs = std::filesystem;

using test::logits_of;
using test::RoundingForm;

fs::path tiny(const char* name) { return test::data_dir() / "models" / name; }

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
    size += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / size);
}

Json decoded(const fs::path& from, const fs::path& to, std::optional<DType> dtype, const ConvertOptions& options = {}) {
  return dequantize(models::Model::open(from), to, dtype, options, [](uint64_t, uint64_t) {});
}

// Names, dtypes, shapes and bytes.
void expect_same_tensors(const fs::path& expected, const fs::path& found) {
  const checkpoint::SafetensorsFile a(expected / "model.safetensors"), b(found / "model.safetensors");
  ASSERT_EQ(a.entries().size(), b.entries().size());
  for (const auto& entry : a.entries()) {
    const auto x = a.view(entry);
    const auto y = b.find(entry.name);
    ASSERT_TRUE(y && y->dtype == x.dtype && y->shape == x.shape) << entry.name;
    EXPECT_EQ(std::memcmp(x.data, y->data, x.bytes), 0) << entry.name;
  }
}

TEST(Dequantize, EveryFormBecomesTheNumbersThatWereRounded) {
  const RoundingForm forms[] = {
      {.storage = "awq"},
      {.storage = "gptq", .symmetric = true, .zero_biases = true},
      {.storage = "gptq", .bits = 8, .group = -1},
      {.storage = "gptq_v2"},
      {.storage = "gptq", .scattered = true},
      {.storage = "compressed-tensors"},
      {.storage = "compressed-tensors", .bits = 8, .group = -1, .symmetric = true},
  };
  for (const RoundingForm& form : forms) {
    SCOPED_TRACE(form.storage + " " + std::to_string(form.bits));
    const test::TemporaryDir dir;
    RoundingForm plain = form;
    plain.storage = "plain";  // computed by the test, in f16
    plain.zero_biases = false;
    test::write_rounded_model(tiny("qwen3-untied"), dir.path() / "quantized", form);
    test::write_rounded_model(tiny("qwen3-untied"), dir.path() / "plain", plain);
    const Json report = decoded(dir.path() / "quantized", dir.path() / "out", DType::f16);
    expect_same_tensors(dir.path() / "plain", dir.path() / "out");
    EXPECT_EQ(report.at("modules").at("quantized"), 21);
    EXPECT_EQ(report.at("inputs_were_rounded"), false);
    // In f32 nothing is lost: the sums are of the same numbers.
    decoded(dir.path() / "quantized", dir.path() / "f32", DType::f32);
    if (!form.scattered) {
      EXPECT_LE(distance(logits_of(dir.path() / "f32"), logits_of(dir.path() / "quantized")), 1e-6);
    }
    decoded(dir.path() / "quantized", dir.path() / "bf16", DType::bf16);
    const double rounded = distance(logits_of(dir.path() / "bf16"), logits_of(dir.path() / "quantized"));
    EXPECT_LE(rounded, 2e-2);  // 2^-9 a weight, and three layers
    EXPECT_GT(rounded, 1e-5);
  }
}

TEST(Dequantize, TablesOfInt8BecomePlainAndTheirCompanionsGo) {
  for (const char* name : {"qwen3-tied", "qwen3-untied"}) {
    SCOPED_TRACE(name);
    const test::TemporaryDir dir;
    QuantizeOptions options;
    options.recipe.method = Method::int8_dynamic;
    quantize(models::Model::open(tiny(name)), nullptr, dir.path() / "int8", options);
    const Json report = decoded(dir.path() / "int8", dir.path() / "out", DType::f32);
    EXPECT_EQ(report.at("inputs_were_rounded"), true);
    const models::Model before = models::Model::open(dir.path() / "int8"),
                        after = models::Model::open(dir.path() / "out");
    EXPECT_FALSE(after.config.quantization);
    for (const ir::WeightInfo& info : after.graph.weights) {
      const Weight a = before.checkpoint.weight(info.name, info.shape),
                   b = after.checkpoint.weight(info.name, info.shape);
      ASSERT_TRUE(std::holds_alternative<Dense>(b.format));
      std::vector<float> x(static_cast<size_t>(a.columns())), y = x;
      for (int64_t row = 0; row < a.rows(); ++row) {
        a.row_to_float(row, x.data()), b.row_to_float(row, y.data());
        ASSERT_EQ(x, y) << info.name << " " << row;
      }
    }
    for (const auto& tensor : after.checkpoint.tensors()) {
      EXPECT_TRUE(tensor.name.ends_with(".weight")) << tensor.name;
    }
  }
}

TEST(Dequantize, ConfigStatesTheDtypeAndNoQuantization) {
  const test::TemporaryDir dir;
  const fs::path demo = test::source_dir() / "models" / "demo";
  test::write_rounded_model(demo, dir.path() / "awq", {.storage = "awq", .group = 128});
  // In the dtype that config.json states: nothing else changes.
  EXPECT_EQ(decoded(dir.path() / "awq", dir.path() / "out", {}).at("dtype"), "BF16");
  Json expected = read_json(demo / "config.json");
  EXPECT_EQ(read_json(dir.path() / "out" / "config.json"), expected);
  EXPECT_TRUE(fs::exists(dir.path() / "out" / "preprocessor_config.json"));
  EXPECT_TRUE(models::Model::open(dir.path() / "out").vision);
  decoded(dir.path() / "awq", dir.path() / "f32", DType::f32, {.max_shard_bytes = 2'000'000});
  const Json config = read_json(dir.path() / "f32" / "config.json");
  EXPECT_TRUE(fs::exists(dir.path() / "f32" / "model.safetensors.index.json"));
  EXPECT_EQ(config.at("text_config").at("dtype"), "float32");
  EXPECT_EQ(config.at("vision_config"), expected.at("vision_config"));
}

TEST(Dequantize, SaysWhatItDoesNotDecode) {
  const test::TemporaryDir dir;
  const auto error = [&](const fs::path& from, DType dtype = DType::bf16) {
    return test::error_of([&] { decoded(from, dir.path() / "out", dtype); });
  };
  EXPECT_NE(error(tiny("qwen3-untied")).find("is not quantized"), std::string::npos);

  test::write_rounded_model(tiny("qwen3-untied"), dir.path() / "awq", {.storage = "awq"});
  const checkpoint::SafetensorsFile file(dir.path() / "awq" / "model.safetensors");
  const auto with = [&](const char* folder, const std::function<void(std::vector<test::StoredTensor>&)>& change) {
    std::vector<test::StoredTensor> tensors;
    for (const auto& entry : file.entries()) {
      const auto view = file.view(entry);
      tensors.push_back({{entry.name, entry.dtype, entry.shape}, {view.data, view.data + view.bytes}});
    }
    change(tensors);
    fs::create_directory(dir.path() / folder);
    fs::copy_file(dir.path() / "awq" / "config.json", dir.path() / folder / "config.json");
    test::write_tensors(dir.path() / folder / "model.safetensors", tensors);
    return dir.path() / folder;
  };
  const fs::path stray = with("stray", [](auto& tensors) {
    tensors.push_back(test::stored("model.layers.9.mlp.up_proj.qweight", DType::i32, {1}, std::vector<int32_t>{1}));
  });
  EXPECT_NE(error(stray).find("up_proj.qweight\" belongs to no layer"), std::string::npos) << error(stray);
  // 15 times the largest scale of f16 is beyond f16, not beyond bf16.
  const fs::path large = with("large", [](auto& tensors) {
    for (test::StoredTensor& tensor : tensors) {
      if (!tensor.spec.name.ends_with("0.mlp.up_proj.scales")) continue;
      for (size_t i = 0; i < tensor.bytes.size(); i += 2) {
        tensor.bytes[i] = std::byte{0xFF}, tensor.bytes[i + 1] = std::byte{0x7B};
      }
    }
  });
  const std::string what = error(large, DType::f16);
  EXPECT_NE(what.find("up_proj.weight\" holds"), std::string::npos) << what;
  EXPECT_NE(what.find("F16 has no place for"), std::string::npos) << what;
  EXPECT_FALSE(fs::exists(dir.path() / "out"));
  EXPECT_EQ(error(large), "");
  EXPECT_NE(error(large).find("the folder is not empty"), std::string::npos);
}

}  // namespace
}  // namespace duan::quant
