#include "ort/session.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <numeric>

#include "base/json.h"
#include "eval/compare.h"
#include "onnx/model_bytes.h"
#include "ort/onnx_folders.h"

namespace duan::ort {
namespace {
namespace fs = std::filesystem;

using onnx::Dialect;
constexpr Dialect kDialects[] = {Dialect::onnx21, Dialect::onnx23, Dialect::ort};

fs::path tiny(const char* name = "qwen3-tied") { return test::data_dir() / "models" / name; }

std::vector<int64_t> some_ids(int64_t count) {
  std::vector<int64_t> ids(static_cast<size_t>(count));
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>((i * 37 + 11) % 97);
  return ids;
}

std::vector<float> all_logits(engine::Engine& engine, std::span<const int64_t> ids) {
  std::vector<float> all;
  engine.forward_all(ids, [&](int64_t, std::span<const float> row) { all.insert(all.end(), row.begin(), row.end()); });
  return all;
}

std::vector<float> last_logits(engine::Engine& engine, std::span<const int64_t> ids) {
  const std::span<const float> logits = engine.forward(ids);
  return {logits.begin(), logits.end()};
}

void expect_near(std::span<const float> actual, std::span<const float> expected, float tolerance,
                 const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  for (size_t i = 0; i < actual.size(); ++i) ASSERT_NEAR(actual[i], expected[i], tolerance) << what << " at " << i;
}

std::string title(Dialect dialect, bool kv_cache) {
  return std::string(onnx::dialect_name(dialect)) + (kv_cache ? "" : " without cache");
}

// Calls `use` with a fresh engine of every form of one tiny model.
template <typename Use>
void for_each_form(const Options& options, const Use& use) {
  for (const Dialect dialect : kDialects) {
    for (const bool kv_cache : {true, false}) {
      const test::TemporaryDir dir;
      const fs::path folder = test::export_to(dir, tiny(), test::export_options(dialect, kv_cache));
      use(*test::open_session(folder, options), title(dialect, kv_cache));
    }
  }
}

// What `open` throws, "" if it does not.
template <typename Open>
std::string error_of(const Open& open) {
  try {
    open();
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

TEST(Session, TruncationForgetsExactlyWhatCameAfter) {
  DUAN_NEEDS_ONNX_RUNTIME();
  const std::vector<int64_t> ids = some_ids(30);
  for_each_form(test::session_options(), [&](engine::Engine& engine, const std::string& what) {
    const std::vector<float> expected = last_logits(engine, ids);
    for (const int64_t kept : {29, 7, 1, 0}) {
      engine.truncate(kept);
      EXPECT_EQ(engine.position(), kept);
      last_logits(engine, some_ids(3));  // something else
      engine.truncate(kept);
      expect_near(last_logits(engine, std::span(ids).subspan(static_cast<size_t>(kept))), expected, 1e-4f, what);
      EXPECT_EQ(engine.position(), 30);
    }
    engine.truncate(100);
    engine.truncate(-1);
    EXPECT_EQ(engine.position(), 0);
  });
}

TEST(Session, TruncatesCachesOfFp16Too) {
  DUAN_NEEDS_ONNX_RUNTIME();
  const std::vector<int64_t> ids = some_ids(30);
  for (const Dialect dialect : kDialects) {
    const test::TemporaryDir dir;
    onnx::Options options = test::export_options(dialect);
    options.precision = onnx::Precision::fp16;
    const auto engine = test::open_session(test::export_to(dir, tiny(), options));
    const std::vector<float> expected = last_logits(*engine, ids);
    engine->truncate(13);
    expect_near(last_logits(*engine, std::span(ids).subspan(13)), expected, 2e-2f, title(dialect, true));
    engine->truncate(13);
    std::vector<float> other = last_logits(*engine, std::span(ids).first(17));
    float largest = 0;
    for (size_t i = 0; i < other.size(); ++i) largest = std::max(largest, std::abs(other[i] - expected[i]));
    EXPECT_GT(largest, 2e-2f) << "so that the tolerance tells something";
  }
}

TEST(Session, ChunksOfAPromptGiveTheWhole) {
  DUAN_NEEDS_ONNX_RUNTIME();
  const std::vector<int64_t> ids = some_ids(50);
  std::vector<float> expected;
  for (const int64_t chunk : {512, 7}) {
    for_each_form(test::session_options(64, chunk), [&](engine::Engine& engine, const std::string& what) {
      const std::vector<float> all = all_logits(engine, ids);
      if (expected.empty()) expected = all;
      expect_near(all, expected, 2e-4f, what);
      engine.truncate(0);
      const size_t vocab = all.size() / ids.size();
      expect_near(last_logits(engine, ids), std::span(expected).last(vocab), 2e-4f, what);
    });
  }
}

TEST(Session, GraphsThatGiveTheLastLogitsOnlyGiveThemAllTokenByToken) {
  DUAN_NEEDS_ONNX_RUNTIME();
  const std::vector<int64_t> ids = some_ids(20);
  for (const Dialect dialect : kDialects) {
    for (const bool kv_cache : {true, false}) {
      const test::TemporaryDir dir;
      onnx::Options options = test::export_options(dialect, kv_cache);
      const std::vector<float> expected = all_logits(*test::open_session(test::export_to(dir, tiny(), options)), ids);
      options.logits = onnx::Logits::last;
      const auto engine = test::open_session(test::export_to(dir, tiny(), options));
      expect_near(all_logits(*engine, ids), expected, 1e-4f, title(dialect, kv_cache));
      EXPECT_EQ(engine->position(), 20);
    }
  }
}

TEST(Session, Fp16GraphsStayClose) {
  DUAN_NEEDS_ONNX_RUNTIME();
  for (const Dialect dialect : kDialects) {
    for (const bool kv_cache : {true, false}) {
      const test::TemporaryDir dir;
      onnx::Options options = test::export_options(dialect, kv_cache);
      options.precision = onnx::Precision::fp16;
      const fs::path folder = test::export_to(dir, tiny("qwen3-untied"), options);
      const auto engine = test::open_session(folder);
      EXPECT_EQ(engine->compute(), engine::Compute::fp16);
      const int64_t vocab = ModelFolder::open(folder).vocab_size;
      for (const auto& golden : test::goldens(tiny("qwen3-untied"))) {
        const eval::Comparison c = eval::compare(vocab, *engine, golden, 6e-2);
        EXPECT_LE(c.max_abs, 6e-2) << golden << " " << title(dialect, kv_cache);
        EXPECT_GT(c.max_abs, 0) << "fp16 was not used";
      }
    }
  }
}

TEST(Session, TellsItsSizes) {
  DUAN_NEEDS_ONNX_RUNTIME();
  const models::Model model = models::Model::open(tiny());
  const int64_t a_position = model.config.num_hidden_layers * 2 * model.config.num_key_value_heads *
                             model.config.head_dim * int64_t{sizeof(float)};
  int64_t weights = 0;
  for (const ir::WeightInfo& weight : model.graph.weights) {
    weights += static_cast<int64_t>(sizeof(float)) *
               std::accumulate(weight.shape.begin(), weight.shape.end(), int64_t{1}, std::multiplies<>());
  }
  Options options = test::session_options(64);
  options.threads = 2;
  for_each_form(options, [&](engine::Engine& engine, const std::string& what) {
    const bool kv_cache = what.find("without") == what.npos;
    EXPECT_EQ(engine.memory().kv_bytes, kv_cache ? 64 * a_position : 0);
    EXPECT_GE(engine.memory().weight_bytes, weights);  // and tables of angles
    EXPECT_EQ(engine.context(), 64);
    EXPECT_EQ(engine.threads(), 2);
    EXPECT_EQ(engine.compute(), engine::Compute::fp32);
  });
}

TEST(Session, AFailedCallLeavesTheSequenceAsItWas) {
  DUAN_NEEDS_ONNX_RUNTIME();
  const std::vector<int64_t> ids = some_ids(20);
  for_each_form(test::session_options(40, 4), [&](engine::Engine& engine, const std::string& what) {
    engine.forward(ids);
    const std::vector<float> expected = last_logits(engine, std::span(ids).first(3));
    engine.truncate(20);
    const int64_t outside = int64_t{1} << 20, negative = -1;
    EXPECT_THROW(engine.forward(std::span(&outside, 1)), Error);
    EXPECT_THROW(engine.forward(std::span(&negative, 1)), Error);
    EXPECT_THROW(engine.forward({}), Error);
    const std::vector<int64_t> too_many(21, 1);
    EXPECT_NE(error_of([&] { engine.forward(too_many); }).find("do not fit"), std::string::npos);
    // Fails with more in the cache already.
    const auto give_up = [](int64_t index, std::span<const float>) {
      if (index == 9) throw std::runtime_error("enough");
    };
    EXPECT_THROW(engine.forward_all(std::span(ids).first(12), give_up), std::runtime_error);
    EXPECT_EQ(engine.position(), 20);
    expect_near(last_logits(engine, std::span(ids).first(3)), expected, 1e-4f, what);
  });
}

TEST(Session, LogitsThatAreNotFiniteAreAnError) {
  DUAN_NEEDS_ONNX_RUNTIME();
  for (const Dialect dialect : kDialects) {
    const test::TemporaryDir dir;
    const fs::path folder = test::export_to(dir, tiny(), test::export_options(dialect));
    const auto bytes = fs::file_size(folder / "model.onnx.data");
    std::ofstream(folder / "model.onnx.data", std::ios::binary) << std::string(bytes, '\xff');
    const auto engine = test::open_session(folder);
    const std::vector<int64_t> ids = some_ids(5);
    EXPECT_NE(error_of([&] { engine->forward(ids); }).find("model.onnx: the logits are not finite"), std::string::npos);
    EXPECT_NE(error_of([&] { all_logits(*engine, ids); }).find("not finite"), std::string::npos);
    EXPECT_EQ(engine->position(), 0);
  }
}

TEST(Session, FilesThatAreDamagedAreErrors) {
  DUAN_NEEDS_ONNX_RUNTIME();
  const test::TemporaryDir dir;
  const fs::path folder = test::export_to(dir, tiny(), test::export_options(Dialect::ort)),
                 file = folder / "model.onnx";
  const std::string bytes = read_file(file);
  const auto error_with = [&](const std::string& content) {
    std::ofstream(file, std::ios::binary) << content;
    return error_of([&] { test::open_session(folder); });
  };
  EXPECT_EQ(error_with(bytes), "");
  for (const size_t size : {size_t{0}, size_t{1}, bytes.size() / 2, bytes.size() - 1}) {
    EXPECT_EQ(error_with(bytes.substr(0, size)).rfind(file.string() + ": ", 0), 0u) << size;
  }
  EXPECT_EQ(error_with("no model at all").rfind(file.string() + ": ", 0), 0u);
  // Right to our checker, not to ONNX Runtime: two shapes that do not go together.
  test::ModelBytes wrong;
  wrong.nodes = {test::node("MatMul", {"x", "w"}, {"y"}).text(), test::node("Concat", {"x", "w"}, {"z"}).text()};
  EXPECT_NE(error_with(wrong.text()).find("ONNX Runtime: "), std::string::npos);
  std::ofstream(file, std::ios::binary) << bytes;
  fs::resize_file(folder / "model.onnx.data", 1000);
  EXPECT_NE(error_of([&] { test::open_session(folder); }), "");
  fs::remove(folder / "model.onnx.data");
  EXPECT_NE(error_of([&] { test::open_session(folder); }), "");
}

TEST(Session, DataOutsideTheFolderAreNotRead) {
  DUAN_NEEDS_ONNX_RUNTIME();
  const test::TemporaryDir dir;
  const fs::path folder = test::export_to(dir, tiny(), test::export_options(Dialect::ort));
  std::ofstream(dir.path() / "secret") << std::string(16, 's');
  for (const std::string& location : std::vector<std::string>{"../secret", (dir.path() / "secret").string(), "link"}) {
    test::ModelBytes model;
    model.weights = {test::external_tensor("w", location)};
    std::ofstream(folder / "model.onnx", std::ios::binary) << model.text();
    if (!fs::exists(folder / "link")) fs::create_symlink(dir.path() / "secret", folder / "link");
    const std::string error = error_of([&] { test::open_session(folder); });
    EXPECT_NE(error, "") << location;
    EXPECT_EQ(error.find("ONNX Runtime"), std::string::npos) << "our checker comes first: " << error;
  }
}

TEST(Session, GraphsThatAreNotThisFoldersDecoderAreErrors) {
  DUAN_NEEDS_ONNX_RUNTIME();
  struct Case {
    std::string at;  // a JSON pointer into genai_config.json
    Json value;
    std::string found;  // in the error
  };
  const std::vector<Case> cases = {
      {"/model/decoder/inputs/input_ids", "tokens", "no input \"tokens\""},
      {"/model/decoder/inputs/attention_mask", "mask", "asks for the input \"attention_mask\""},
      {"/model/decoder/inputs/past_key_names", "past.%d.key", "asks for the input \"past_key_values.0.key\""},
      {"/model/decoder/inputs/past_value_names", "past.%d.value", "no input \"past.0.value\""},
      {"/model/decoder/outputs/logits", "scores", "no output \"scores\""},
      {"/model/decoder/outputs/present_value_names", "now.%d.value", "no output \"now.0.value\""},
      {"/model/vocab_size", 7, "a vocabulary of 7"},
      {"/model/decoder/head_size", 2, "configuration says 2"},
      {"/model/decoder/num_key_value_heads", 64, "configuration says 64"},
      {"/model/decoder/filename", "other.onnx", "other.onnx"},
  };
  const test::TemporaryDir dir;
  const fs::path folder = test::export_to(dir, tiny(), test::export_options(Dialect::ort));
  const Json right = read_json(folder / "genai_config.json");
  for (const Case& c : cases) {
    Json json = right;
    json.at(Json::json_pointer(c.at)) = c.value;
    std::ofstream(folder / "genai_config.json") << to_text(json);
    const std::string error = error_of([&] { test::open_session(folder); });
    EXPECT_NE(error.find(c.found), std::string::npos) << c.at << ": " << error;
  }
}

TEST(Session, RefusesACacheLargerThanTheMachine) {
  DUAN_NEEDS_ONNX_RUNTIME();
  for (const Dialect dialect : {Dialect::onnx21, Dialect::ort}) {
    const test::TemporaryDir dir;
    const fs::path folder = test::export_to(dir, tiny(), test::export_options(dialect));
    EXPECT_THROW(test::open_session(folder, test::session_options(int64_t{1} << 36)), Error);
    EXPECT_THROW(test::open_session(folder, test::session_options(int64_t{1} << 62)), Error);
  }
}

}  // namespace
}  // namespace duan::ort
