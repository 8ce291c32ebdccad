// Quantized checkpoints as ONNX folders: ONNX Runtime's logits against those of the native engine.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ort/onnx_folders.h"
#include "quant/support.h"

namespace duan {
namespace {

namespace fs = std::filesystem;
using Logits = std::vector<float>;

// All logits of 40 tokens, [tokens, vocab].
Logits logits_of(engine::Engine& engine, int64_t vocab) {
  const std::vector<int64_t> ids = test::some_samples(vocab, 1, 40).samples[0];
  Logits all;
  engine.forward_all(ids, [&](int64_t, std::span<const float> row) { all.insert(all.end(), row.begin(), row.end()); });
  return all;
}

Logits native_logits(const models::Model& model) {
  engine::Options options;
  options.context = 64;
  options.threads = 1;
  options.compute = engine::Compute::fp32;
  return logits_of(*engine::make_native(model.graph, model.checkpoint, options), model.config.vocab_size);
}

struct Difference {
  double largest, relative;  // of the logits; of their norms
};

Difference difference(const Logits& actual, const Logits& expected) {
  EXPECT_EQ(actual.size(), expected.size());
  double largest = 0, squares = 0, total = 0;
  for (size_t i = 0; i < std::min(actual.size(), expected.size()); ++i) {
    const double error = actual[i] - expected[i];
    largest = std::max(largest, std::abs(error));
    squares += error * error;
    total += static_cast<double>(expected[i]) * expected[i];
  }
  return {largest, std::sqrt(squares / total)};
}

models::Model quantized(const test::TemporaryDir& dir, const char* name, quant::Method method, int64_t group_size = 0) {
  const models::Model model = models::Model::open(test::data_dir() / "models" / name);
  const quant::CalibrationSet samples = test::some_samples(model.config.vocab_size, 6, 40);
  quant::QuantizeOptions options = test::options_for(method);
  options.recipe.weights.group_size = group_size;
  quant::quantize(model, &samples, dir.path() / "quantized", options);
  return models::Model::open(dir.path() / "quantized");
}

// The products of int8 numbers are exact on both sides, also where ONNX Runtime has no VNNI: the session asks for it.
// Floats before a rounding may differ in the last digit and move a code by one, a step of 1/127 of the largest input:
// such a step may show in a logit, over all of them it must drown. Without the request, where there is no VNNI, logits
// differ by up to 5.7, their norms by 0.15 and more; with it, none of these differed at all.
TEST(QuantizedOnnx, StaticInt8EqualsTheNativeEngine) {
  DUAN_NEEDS_ONNX_RUNTIME();
  for (const char* name : {"qwen3-tied", "qwen3-untied", "qwen2"}) {
    const test::TemporaryDir dir;
    const models::Model model = quantized(dir, name, quant::Method::int8_static);
    const Logits expected = native_logits(model);
    for (const onnx::Dialect dialect : {onnx::Dialect::onnx21, onnx::Dialect::onnx23, onnx::Dialect::ort}) {
      for (const bool kv_cache : {true, false}) {
        const fs::path folder = test::export_to(dir, dir.path() / "quantized", test::export_options(dialect, kv_cache));
        // With a cache in chunks of 7, so that it is read.
        const auto session = test::open_session(folder, test::session_options(64, 7));
        EXPECT_EQ(session->memory().kv_bytes > 0, kv_cache);
        const Difference d = difference(logits_of(*session, model.config.vocab_size), expected);
        const std::string what =
            std::string(name) + " " + std::string(onnx::dialect_name(dialect)) + (kv_cache ? "" : " without cache");
        EXPECT_LE(d.largest, 0.1) << what;
        EXPECT_LE(d.relative, 1e-2) << what;
      }
    }
  }
}

// Accuracy level 0, as --compute fp32 asks for. What ONNX Runtime does by itself, 4, rounds inputs to int8.
TEST(QuantizedOnnx, FourBitWeightsInFp32EqualTheNativeEngine) {
  DUAN_NEEDS_ONNX_RUNTIME();
  const test::TemporaryDir dir;
  const models::Model model = quantized(dir, "qwen3-untied", quant::Method::rtn, 16);
  const Logits expected = native_logits(model);
  for (const bool kv_cache : {true, false}) {
    const fs::path folder =
        test::export_to(dir, dir.path() / "quantized", test::export_options(onnx::Dialect::onnx21, kv_cache));
    ort::Options options = test::session_options(64, 7);
    const Difference exact =
        difference(logits_of(*test::open_session(folder, options), model.config.vocab_size), expected);
    options.accuracy_level.reset();
    const Difference rounded =
        difference(logits_of(*test::open_session(folder, options), model.config.vocab_size), expected);
    EXPECT_LE(exact.largest, 5e-4);
    EXPECT_LE(exact.relative, 1e-4);
    EXPECT_GT(rounded.relative, 1e-3) << "so that the level tells something";
  }
}

}  // namespace
}  // namespace duan
