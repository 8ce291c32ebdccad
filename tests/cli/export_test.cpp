#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/json.h"
#include "support/models.h"
#include "support/program.h"

namespace duan {
namespace {

using test::run_duan;
namespace fs = std::filesystem;

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename().string());
  return names;
}

std::string model(const char* name) { return (test::data_dir() / "models" / name).string(); }

// Exports `from` to `out` and gives the names it tells, after holding them against what lies there.
std::set<std::string> exported(const fs::path& from, const fs::path& out) {
  const auto result = run_duan({"export", from.string(), "-o", out.string(), "--json"});
  if (result.exit_code != 0) throw std::runtime_error(result.err);
  std::set<std::string> told;
  const Json json = parse_json(result.out, "stdout");
  for (const Json& file : json.at("files")) {
    const std::string name = file.at("name").get<std::string>();
    told.insert(name);
    EXPECT_EQ(fs::file_size(out / name), file.at("bytes").get<uint64_t>()) << name;
  }
  EXPECT_EQ(told, names_in(out));
  EXPECT_EQ(names_in(out.parent_path()), std::set<std::string>{"out"});
  EXPECT_EQ(read_file(out / "config.json"), read_file(from / "config.json"));
  return told;
}

TEST(Export, WritesAFolderThatGenAiReads) {
  const test::TemporaryDir dir;
  const fs::path source = dir.path() / "model", demo = test::source_dir() / "models" / "demo";
  fs::copy(model("qwen3-tied"), source);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) fs::copy(demo / name, source);
  const fs::path out = dir.path() / "new" / "out";
  const std::set<std::string> told = exported(source, out);
  for (const char* name : {"model.onnx", "model.onnx.data", "genai_config.json", "config.json", "tokenizer.json"}) {
    EXPECT_TRUE(told.contains(name)) << name;
  }
  const Json genai = read_json(out / "genai_config.json");
  EXPECT_EQ(genai.at("model").at("decoder").at("filename"), "model.onnx");
  EXPECT_EQ(genai.at("model").at("type"), "qwen3");
}

TEST(Export, WritesThreeGraphsOfAModelThatSeesImages) {
  const test::TemporaryDir dir;
  const std::set<std::string> told = exported(test::source_dir() / "models" / "demo", dir.path() / "new" / "out");
  for (const char* name : {"decoder_model_merged.onnx", "embed_tokens.onnx", "vision_encoder.onnx", "model.onnx.data",
                           "config.json", "preprocessor_config.json", "tokenizer.json"}) {
    EXPECT_TRUE(told.contains(name)) << name;
  }
}

TEST(Export, GivesTheSameBytesEachTime) {
  const test::TemporaryDir dir;
  for (const char* dialect : {"onnx21", "onnx23", "ort"}) {
    for (const char* name : {"a", "b"}) {
      const auto result = run_duan({"export", model("qwen3-tied"), "-o", (dir.path() / name).string(), "--overwrite",
                                    "--dialect", dialect, "--precision", "fp16"});
      ASSERT_EQ(result.exit_code, 0) << result.err;
    }
    EXPECT_EQ(names_in(dir.path() / "a"), names_in(dir.path() / "b"));
    for (const std::string& name : names_in(dir.path() / "a")) {
      EXPECT_EQ(read_file(dir.path() / "a" / name), read_file(dir.path() / "b" / name)) << dialect << " " << name;
    }
  }
}

TEST(Export, WithoutCacheHasNoGenAiConfig) {
  const test::TemporaryDir dir;
  const auto result = run_duan({"export", model("llama3"), "-o", (dir.path() / "out").string(), "--no-kv-cache"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_FALSE(fs::exists(dir.path() / "out" / "genai_config.json"));
}

TEST(Export, LeavesWhatIsThereAlone) {
  const test::TemporaryDir dir;
  const fs::path out = dir.path() / "out";
  fs::create_directory(out);
  std::ofstream(out / "precious.txt") << "mine";
  for (const std::vector<std::string>& more : {std::vector<std::string>{}, {"--overwrite"}}) {
    std::vector<std::string> arguments = {"export", model("qwen2"), "-o", out.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto result = run_duan(arguments);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(result.err.rfind("error: " + out.string(), 0), 0u) << result.err;
    EXPECT_EQ(names_in(out), std::set<std::string>{"precious.txt"});
    EXPECT_EQ(names_in(dir.path()), std::set<std::string>{"out"});
  }
  const auto itself = run_duan({"export", model("qwen2"), "-o", model("qwen2"), "--overwrite"});
  EXPECT_EQ(itself.exit_code, 1);
  EXPECT_NE(itself.err.find("the folder of the model itself"), std::string::npos) << itself.err;
  std::ofstream(dir.path() / "file") << "x";
  EXPECT_EQ(run_duan({"export", model("qwen2"), "-o", (dir.path() / "file").string()}).exit_code, 1);
}

TEST(Export, RefusesFlagsThatMakeNoSense) {
  const test::TemporaryDir dir;
  const std::string out = (dir.path() / "out").string();
  EXPECT_EQ(run_duan({"export", model("qwen2")}).exit_code, 2);
  EXPECT_EQ(run_duan({"export", model("qwen2"), "-o", out, "--dialect", "onnx20"}).exit_code, 2);
  EXPECT_EQ(run_duan({"export", model("qwen2"), "-o", out, "--precision", "fp8"}).exit_code, 2);
  const auto context = run_duan({"export", model("qwen2"), "-o", out, "--context", "100000000"});
  EXPECT_EQ(context.exit_code, 1);
  EXPECT_NE(context.err.find("--context"), std::string::npos) << context.err;
  EXPECT_TRUE(names_in(dir.path()).empty());
}

}  // namespace
}  // namespace duan
