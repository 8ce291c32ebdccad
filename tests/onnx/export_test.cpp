// Exported folders: what is in them, and that our own checker of untrusted files accepts every one.
#include "onnx/export.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "onnx/genai_config.h"
#include "onnx/verify.h"
#include "support/models.h"

namespace duan::onnx {
namespace {

constexpr Dialect kDialects[] = {Dialect::onnx21, Dialect::onnx23, Dialect::ort};

TEST(Export, EveryFormOfEveryTinyModelPassesTheChecker) {
  const test::TemporaryDir dir;
  const auto folders = test::tiny_models();
  ASSERT_GE(folders.size(), 5u);
  for (const auto& folder : folders) {
    const models::Model model = models::Model::open(folder);
    for (const Dialect dialect : kDialects) {
      for (const Precision precision : {Precision::fp32, Precision::fp16}) {
        for (const bool kv_cache : {true, false}) {
          Options options;
          options.dialect = dialect;
          options.precision = precision;
          options.kv_cache = kv_cache;
          options.logits = kv_cache ? Logits::all : Logits::last;
          const Export result = export_model(model, dir.path() / "out", options, true);
          const VerifiedModel verified = verify_file(dir.path() / "out" / "model.onnx");
          EXPECT_EQ(verified.facts.nodes, static_cast<int64_t>(result.nodes));
          const bool in_place = dialect == Dialect::ort && kv_cache;
          EXPECT_EQ(verified.facts.caches_in_place.size(),
                    in_place ? static_cast<size_t>(2 * model.config.num_hidden_layers) : 0u);
        }
      }
    }
  }
}

TEST(Export, GenAiIsToldToComputeInt8ProductsExactly) {
  const models::Model model = models::Model::open(test::tiny_models().front());
  Options options;
  options.context = 8;
  for (const bool int8_products : {false, true}) {
    const Json config = genai_config(model.config, {}, options, int8_products);
    const Json& session = config.at("model").at("decoder").at("session_options");
    EXPECT_EQ(session.value("session.x64quantprecision", ""), int8_products ? "1" : "");
  }
}

}  // namespace
}  // namespace duan::onnx
