// Every tiny model as an ONNX folder of one dialect, with and without KV cache: ONNX Runtime's logits against those of
// transformers.
#include <gtest/gtest.h>

#include "base/json.h"
#include "eval/compare.h"
#include "ort/in_pieces.h"
#include "ort/onnx_folders.h"

namespace duan {
namespace {

constexpr double kTolerance = 5e-4;

onnx::Dialect dialect() { return *onnx::dialect_from_name(DUAN_TEST_DIALECT); }

void hold_against(const std::filesystem::path& model, const std::vector<std::filesystem::path>& goldens,
                  bool kv_cache) {
  const test::TemporaryDir dir;
  const auto folder = test::export_to(dir, model, test::export_options(dialect(), kv_cache));
  const ort::ModelFolder opened = ort::ModelFolder::open(folder);
  const auto engine = test::open_session(folder, test::session_options(std::min<int64_t>(opened.context, 1024)));
  EXPECT_EQ(engine->memory().kv_bytes > 0, kv_cache);
  const int64_t vocab = opened.vocab_size;
  test::InPieces in_pieces(*engine);
  for (const auto& golden : goldens) {
    for (engine::Engine* way : {engine.get(), static_cast<engine::Engine*>(&in_pieces)}) {
      const eval::Comparison c = eval::compare(vocab, *way, golden, kTolerance);
      EXPECT_LE(c.max_abs, kTolerance) << golden << (way == engine.get() ? "" : " in pieces");
      EXPECT_TRUE(c.greedy_equal) << golden;
    }
  }
}

TEST(Goldens, EveryTinyModelEqualsTransformers) {
  DUAN_NEEDS_ONNX_RUNTIME();
  ASSERT_GE(test::tiny_models().size(), 5u);
  for (const auto& model : test::tiny_models()) {
    if (models::Model::open(model).vision) continue;  // images_test.cpp has them
    for (const bool kv_cache : {true, false}) hold_against(model, test::goldens(model), kv_cache);
  }
}

TEST(Goldens, EveryReferenceModelEqualsTransformers) {
  DUAN_NEEDS_ONNX_RUNTIME();
  DUAN_NEEDS_REFERENCE();
  const auto root = *test::reference_dir() / "golden" / "models";
  const Json index = read_json(root / "text_index.json");
  for (const auto& [name, entry] : index.items()) {
    if (name == "qwen3-moe") continue;
    std::vector<std::filesystem::path> goldens;
    for (const Json& golden : entry.at("cases")) goldens.push_back(root / golden.at("file").get<std::string>());
    ASSERT_FALSE(goldens.empty());
    for (const bool kv_cache : {true, false}) {
      hold_against(root / entry.at("model").get<std::string>(), goldens, kv_cache);
    }
  }
}

}  // namespace
}  // namespace duan
