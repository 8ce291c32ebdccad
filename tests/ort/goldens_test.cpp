// Every tiny model as an ONNX folder of one dialect, with and without KV cache: ONNX Runtime's logits against those of
// transformers.
#include <gtest/gtest.h>

#include "base/json.h"
#include "eval/compare.h"
#include "ort/onnx_folders.h"

namespace duan {
namespace {

constexpr double kTolerance = 5e-4;

onnx::Dialect dialect() { return *onnx::dialect_from_name(DUAN_TEST_DIALECT); }

// An engine that takes what it is given in pieces of 5, 3, 1 and the rest.
class InPieces final : public engine::Engine {
 public:
  explicit InPieces(engine::Engine& engine) : engine_(engine) {}

  std::span<const float> forward(std::span<const int64_t> ids) override {
    std::span<const float> logits;
    each_piece(ids, [&](std::span<const int64_t> piece, int64_t) { logits = engine_.forward(piece); });
    return logits;
  }
  void forward_all(std::span<const int64_t> ids, const engine::LogitsFn& logits_fn) override {
    each_piece(ids, [&](std::span<const int64_t> piece, int64_t first) {
      engine_.forward_all(piece, [&](int64_t i, std::span<const float> logits) { logits_fn(first + i, logits); });
    });
  }
  void set_images(std::shared_ptr<const engine::SequenceImages> images) override {
    engine_.set_images(std::move(images));
  }
  void truncate(int64_t positions) override { engine_.truncate(positions); }
  int64_t position() const override { return engine_.position(); }
  int64_t context() const override { return engine_.context(); }
  void set_probe(engine::Probe probe) override { engine_.set_probe(std::move(probe)); }
  engine::MemoryUse memory() const override { return engine_.memory(); }
  engine::Compute compute() const override { return engine_.compute(); }
  int threads() const override { return engine_.threads(); }

 private:
  template <typename Use>
  void each_piece(std::span<const int64_t> ids, const Use& use) {
    int64_t first = 0;
    for (const size_t size : {size_t{5}, size_t{3}, size_t{1}, ids.size()}) {
      const size_t piece = std::min(size, ids.size() - static_cast<size_t>(first));
      if (piece > 0) use(ids.subspan(static_cast<size_t>(first), piece), first);
      first += static_cast<int64_t>(piece);
    }
  }
  engine::Engine& engine_;
};

void hold_against(const std::filesystem::path& model, const std::vector<std::filesystem::path>& goldens,
                  bool kv_cache) {
  const test::TemporaryDir dir;
  const auto folder = test::export_to(dir, model, test::export_options(dialect(), kv_cache));
  const ort::ModelFolder opened = ort::ModelFolder::open(folder);
  const auto engine = test::open_session(folder, test::session_options(std::min<int64_t>(opened.context, 1024)));
  EXPECT_EQ(engine->memory().kv_bytes > 0, kv_cache);
  const int64_t vocab = opened.vocab_size;
  InPieces in_pieces(*engine);
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
