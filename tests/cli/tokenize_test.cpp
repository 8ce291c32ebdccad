#include <gtest/gtest.h>

#include <sstream>

#include "base/json.h"
#include "support/paths.h"
#include "support/program.h"

namespace duan {
namespace {

using test::run_duan;

// A folder with the test tokenizer alone.
class Tokenize : public ::testing::Test {
 protected:
  Tokenize() {
    std::filesystem::copy_file(test::data_dir() / "tokenizer" / "qwen.json", folder_.path() / "tokenizer.json");
    model_ = folder_.path().string();
  }
  test::TemporaryDir folder_;
  std::string model_;
};

TEST_F(Tokenize, ListsIdsAndTokens) {
  const auto result = run_duan({"tokenize", model_, "the<|end|>"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("    700  \"<|end|>\"\n"), std::string::npos) << result.out;
  const auto part = run_duan({"tokenize", model_, "😀"});  // no token for it: single bytes
  EXPECT_NE(part.out.find("\"\\xf0\""), std::string::npos) << part.out;
}

TEST_F(Tokenize, GivesIdsAndTextBack) {
  const auto ids = run_duan({"tokenize", model_, "--ids"}, "你好, the house\n");
  const auto text = run_duan({"detokenize", model_, ids.out});
  EXPECT_EQ(text.out, "你好, the house\n\n");
  const auto piped = run_duan({"detokenize", model_}, ids.out);
  EXPECT_EQ(piped.out, text.out);
}

TEST_F(Tokenize, GivesJson) {
  const auto result = run_duan({"tokenize", model_, "a<|end|>", "--json"});
  EXPECT_EQ(Json::parse(result.out), (Json{{"ids", {64, 700}}, {"tokens", {"a", "<|end|>"}}}));
  EXPECT_EQ(run_duan({"detokenize", model_, "64,700", "--json"}).out, "{\"text\":\"a<|end|>\"}\n");
  EXPECT_EQ(run_duan({"detokenize", model_, "64,700", "--json", "--skip-special"}).out, "{\"text\":\"a\"}\n");
}

TEST_F(Tokenize, TakesNothingForATokenInPlainText) {
  const Json ids = Json::parse(run_duan({"tokenize", model_, "<|end|>", "--plain", "--json"}).out)["ids"];
  for (const Json& id : ids) EXPECT_LT(id.get<int>(), 700);
}

TEST_F(Tokenize, GoesOnAfterABadLineAndCountsThem) {
  const auto result = run_duan({"tokenize", model_, "--jsonl"},
                               "{\"text\":\"a\"}\nnot json\n{\"bytes_b64\":\"/2E=\"}\n{\"bytes_b64\":\"?\"}\n{}\n7\n");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("4 of 6 lines"), std::string::npos) << result.err;
  std::istringstream lines(result.out);
  std::vector<Json> out;
  for (std::string line; std::getline(lines, line);) out.push_back(Json::parse(line));
  ASSERT_EQ(out.size(), 6u);
  EXPECT_EQ(out[0], (Json{{"ids", {64}}}));
  EXPECT_EQ(out[2]["text"], "\uFFFDa");
  for (const size_t wrong : {1, 3, 4, 5}) EXPECT_TRUE(out[wrong].contains("error")) << to_text(out[wrong]);
}

TEST_F(Tokenize, SaysWhichIdIsWrong) {
  const auto result = run_duan({"detokenize", model_, "1,99999"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("99999"), std::string::npos) << result.err;
  EXPECT_EQ(run_duan({"detokenize", model_, "1,x"}).exit_code, 1);
}

TEST_F(Tokenize, RefusesAFolderWithoutATokenizer) {
  test::TemporaryDir empty;
  const auto result = run_duan({"tokenize", empty.path().string(), "a"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find(empty.path().string()), std::string::npos) << result.err;
}

// The reference cases are lines of {inputs, outputs}; duan takes the same inputs and gives the same outputs.
struct Golden {
  std::string input;  // all lines
  std::vector<Json> cases;
};

Golden golden(const std::string& file, const std::vector<const char*>& inputs, const std::string& only_template = "") {
  Golden result;
  std::istringstream lines(read_file(*test::reference_dir() / "golden/tokenizer/cases" / file));
  for (std::string line; std::getline(lines, line);) {
    const Json sample = Json::parse(line);
    if (!only_template.empty() && sample["template"] != only_template) continue;
    Json in = Json::object();
    for (const char* key : inputs) in[key] = sample[key];
    result.input += to_text(in) + "\n";
    result.cases.push_back(sample);
  }
  return result;
}

// Compares the keys of each output line with those `expected` names for them.
void expect_golden(std::vector<std::string> command, const char* model, const Golden& golden,
                   const std::vector<std::pair<const char*, const char*>>& outputs) {
  command.insert(command.begin() + 1, (*test::reference_dir() / "golden/tokenizer/hf" / model).string());
  command.push_back("--jsonl");
  const auto result = run_duan(command, golden.input, {}, 120);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  std::istringstream lines(result.out);
  std::string line;
  for (const Json& sample : golden.cases) {
    ASSERT_TRUE(std::getline(lines, line));
    const Json out = Json::parse(line);
    for (const auto& [key, expected] : outputs) ASSERT_EQ(out[key], sample[expected]) << to_text(sample);
  }
  EXPECT_FALSE(std::getline(lines, line));
  EXPECT_GT(golden.cases.size(), 50u);
}

TEST(TokenizeGolden, EncodesTheReferenceCases) {
  DUAN_NEEDS_REFERENCE();
  expect_golden({"tokenize"}, "Qwen3-1.7B", golden("encode.jsonl", {"text"}), {{"ids", "ids"}});
}

TEST(TokenizeGolden, EncodesInvalidUtf8) {
  DUAN_NEEDS_REFERENCE();
  expect_golden({"tokenize"}, "Qwen3-1.7B", golden("invalid_utf8.jsonl", {"bytes_b64"}),
                {{"ids", "ids"}, {"text", "text"}});
}

TEST(TokenizeGolden, DecodesTheReferenceCases) {
  DUAN_NEEDS_REFERENCE();
  const Golden cases = golden("decode.jsonl", {"ids"});
  expect_golden({"detokenize"}, "Qwen3-1.7B", cases, {{"text", "text_keep_special"}});
  expect_golden({"detokenize", "--skip-special"}, "Qwen3-1.7B", cases, {{"text", "text_skip_special"}});
}

TEST(TokenizeGolden, RendersTheReferenceConversations) {
  DUAN_NEEDS_REFERENCE();
  const std::vector<const char*> inputs = {"messages", "tools", "add_generation_prompt", "kwargs"};
  const std::vector<std::pair<const char*, const char*>> outputs = {{"rendered", "rendered"}, {"ids", "ids"}};
  expect_golden({"template"}, "Qwen3-1.7B", golden("chat.jsonl", inputs, "qwen3"), outputs);
  expect_golden({"template"}, "Qwen3-VL-8B-Instruct", golden("chat.jsonl", inputs, "qwen3vl"), outputs);
}

}  // namespace
}  // namespace duan
