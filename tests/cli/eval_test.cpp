#include <gtest/gtest.h>

#include <fstream>

#include "base/json.h"
#include "support/paths.h"
#include "support/program.h"

namespace duan {
namespace {

using test::run_duan;

std::string demo() { return (test::source_dir() / "models" / "demo").string(); }
std::string tiny() { return (test::data_dir() / "models" / "qwen3-tied").string(); }

Json evaluate(const std::string& what, const std::string& model, const std::string& flag, const std::string& file,
              const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {"eval", what, model, flag, file, "--json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const auto result = run_duan(arguments, "", {}, 300);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return parse_json(result.out, "stdout");
}

Json perplexity(const std::string& model, const std::string& ids, const std::vector<std::string>& more = {}) {
  return evaluate("perplexity", model, "--ids", ids, more);
}

TEST(Eval, PerplexityIsTheSameForListsAndWindowsAndEngines) {
  const test::TemporaryDir dir;
  const auto lists = dir.path() / "lists.json", flat = dir.path() / "flat.json";
  std::ofstream(lists) << "[[1,2,3,4,5,6],[7,8,9,10,11,12]]";
  std::ofstream(flat) << "[1,2,3,4,5,6,7,8,9,10,11,12]";
  const std::string model = (test::data_dir() / "models" / "qwen3-tied").string();
  const Json a = perplexity(model, lists.string(), {"--compute", "fp32"});
  const Json b = perplexity(model, flat.string(), {"--compute", "fp32", "--window", "6"});
  EXPECT_EQ(a.at("perplexity"), b.at("perplexity"));
  EXPECT_EQ(a.at("tokens").get<int>(), 10);
  const Json reference = perplexity(model, lists.string(), {"--engine", "reference"});
  EXPECT_NEAR(reference.at("perplexity").get<double>() / a.at("perplexity").get<double>(), 1, 1e-4);
}

TEST(Eval, ATextIsItsTokensInWindows) {
  const test::TemporaryDir dir;
  const auto text = dir.path() / "text.txt", ids = dir.path() / "ids.json";
  std::string sentences;
  for (int i = 0; i < 20; ++i) sentences += "\xE4\xBD\xA0\xE5\xA5\xBD, the KV cache holds keys and values.\n";
  std::ofstream(text) << sentences;
  std::ofstream(ids) << run_duan({"tokenize", "demo", "--json"}, sentences).out;
  const Json tokens = read_json(ids).at("ids");
  std::ofstream(ids, std::ios::trunc) << to_text(tokens);
  const std::string model = demo();
  for (const std::vector<std::string>& more :
       std::vector<std::vector<std::string>>{{}, {"--window", "32"}, {"--window", "32", "--max-tokens", "70"}}) {
    const Json a = evaluate("perplexity", model, "--text", text.string(), more);
    const Json b = evaluate("perplexity", model, "--ids", ids.string(), more);
    EXPECT_EQ(a, b);
    EXPECT_LT(a.at("interval_95").at(0), a.at("perplexity"));
    EXPECT_GT(a.at("interval_95").at(1), a.at("perplexity"));
  }
  EXPECT_EQ(evaluate("perplexity", model, "--text", text.string(), {"-n", "70", "--window", "32"}).at("tokens"), 67);
}

TEST(Eval, OfDialoguesOnlyAnswersArePredicted) {
  const test::TemporaryDir dir;
  const auto file = dir.path() / "chats.jsonl", ids = dir.path() / "ids.json";
  const Json question = {{"role", "user"}, {"content", "\xE4\xBD\xA0\xE5\xA5\xBD"}};
  const std::string said = run_duan({"run", "demo", "-p", question.at("content"), "--think", "off", "--temp", "0"}).out;
  const std::string answer = said.substr(0, said.find('\n'));
  std::ofstream(file) << to_text({{"messages", {question, {{"role", "assistant"}, {"content", answer}}}}}) << "\n";
  const Json spoken = parse_json(run_duan({"tokenize", "demo", "--json", answer + "<|im_end|>"}).out, "stdout");

  const Json json = evaluate("perplexity", demo(), "--chat", file.string(), {"--think", "off"});
  EXPECT_EQ(json.at("tokens"), spoken.at("ids").size());
  EXPECT_EQ(json.at("sequences"), 1);
  EXPECT_LT(json.at("perplexity").get<double>(), 2) << "its own words are the most probable ones";
  const Json kl = evaluate("kl", demo(), "--chat", file.string(),
                           {"--think", "off", "--reference", demo(), "--reference-engine", "reference"});
  EXPECT_EQ(kl.at("tokens"), json.at("tokens"));
  const auto text = run_duan({"eval", "perplexity", demo(), "--chat", file.string(), "--think", "off"});
  EXPECT_NE(text.out.find("over " + to_text(json.at("tokens")) + " tokens in 1 sequences"), std::string::npos);

  // Cut in the answer; beyond the context; not a dialogue.
  EXPECT_LT(evaluate("perplexity", demo(), "--chat", file.string(), {"--think", "off", "-n", "24"}).at("tokens"),
            json.at("tokens"));
  const auto error_of = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"eval", "perplexity", demo(), "--chat", file.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto result = run_duan(arguments);
    EXPECT_EQ(result.exit_code, 1);
    return result.err;
  };
  EXPECT_EQ(error_of({"-c", "8"}).rfind("error: " + file.string() + ":1: ", 0), 0u);
  std::ofstream(file, std::ios::app) << "{\"messages\": []}\n";
  EXPECT_EQ(error_of({}).rfind("error: " + file.string() + ":2: has no message of the assistant", 0), 0u);
}

TEST(Eval, OnePredictedTokenHasNoInterval) {
  const test::TemporaryDir dir;
  const auto ids = dir.path() / "ids.json";
  std::ofstream(ids) << "[1,2]";
  const Json json = evaluate("perplexity", tiny(), "--ids", ids.string());
  EXPECT_EQ(json.at("tokens"), 1);
  EXPECT_TRUE(json.at("standard_error").is_null());
}

TEST(Eval, KlOfAModelWithItselfIsZeroAndOfARoundedOneIsNot) {
  const test::TemporaryDir dir;
  const auto ids = dir.path() / "ids.json";
  std::ofstream(ids) << "[1,2,3,4,5,6,7,8,9,10,11,12]";
  const Json same =
      evaluate("kl", tiny(), "--ids", ids.string(), {"--reference", tiny(), "--compute", "fp32", "--window", "6"});
  EXPECT_EQ(same.at("tokens"), 10);
  EXPECT_EQ(same.at("sequences"), 2);
  EXPECT_EQ(same.at("kl").at("mean"), 0);
  EXPECT_EQ(same.at("kl").at("max"), 0);
  EXPECT_EQ(same.at("top1"), 1);
  EXPECT_EQ(same.at("ln_perplexity_ratio").at("value"), 0);
  EXPECT_EQ(same.at("perplexity"), same.at("reference_perplexity"));

  const std::vector<std::string> rounded = {"--reference",        tiny(),     "--compute", "bf16",
                                            "--reference-engine", "reference"};
  const Json other = evaluate("kl", tiny(), "--ids", ids.string(), rounded);
  EXPECT_GT(other.at("kl").at("mean"), 0);
  EXPECT_EQ(other.at("model"), tiny() + " (native, bf16)");
  EXPECT_EQ(other.at("reference"), tiny() + " (reference, fp32)");

  const auto table =
      run_duan({"eval", "kl", tiny(), "--reference", tiny(), "--compute", "fp32", "--ids", ids.string()});
  EXPECT_EQ(table.exit_code, 0) << table.err;
  EXPECT_NE(table.out.find("| KL(reference, model): mean | 0 |"), std::string::npos) << table.out;
  EXPECT_NE(table.out.find("| same most probable token | 100.000 % |"), std::string::npos) << table.out;
}

TEST(Eval, KlNeedsModelsWithTheSameVocabulary) {
  const test::TemporaryDir dir;
  const auto text = dir.path() / "text.txt";
  std::ofstream(text) << "one two three four";
  auto result = run_duan({"eval", "kl", demo(), "--reference", tiny(), "--text", text.string()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("the model predicts 3072 tokens, the reference 208"), std::string::npos) << result.err;

  // The same size, other tokens.
  const auto other = dir.path() / "other";
  std::filesystem::copy(demo(), other);
  Json tokenizer = read_json(other / "tokenizer.json");
  Json& vocab = tokenizer.at("model").at("vocab");
  std::swap(vocab.at("!"), vocab.at("\""));
  std::ofstream(other / "tokenizer.json", std::ios::trunc) << to_text(tokenizer);
  result = run_duan({"eval", "kl", other.string(), "--reference", demo(), "--text", text.string()});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("in the reference \""), std::string::npos) << result.err;
}

TEST(Eval, WantsOneSourceOfTokens) {
  const std::string file = (test::source_dir() / "LICENSE").string();
  for (const std::vector<std::string>& more :
       std::vector<std::vector<std::string>>{{},
                                             {"--text", file, "--ids", file},
                                             {"--chat", file, "--ids", file},
                                             {"--chat", file, "--text", file},
                                             {"--chat", file, "--window", "8"},
                                             {"--text", file, "--think", "off"},
                                             {"--text", file, "--window", "1"}}) {
    std::vector<std::string> arguments = {"eval", "perplexity", demo()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    EXPECT_EQ(run_duan(arguments).exit_code, 2);
  }
  EXPECT_EQ(run_duan({"eval", "kl", demo(), "--text", file}).exit_code, 2);
  for (const std::string& text : {std::string("/no/such/file"), std::string("/dev/null")}) {
    const auto result = run_duan({"eval", "perplexity", demo(), "--text", text});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(result.err.rfind("error: " + text, 0), 0u) << result.err;
  }
  const auto result = run_duan({"eval", "perplexity", tiny(), "--text", file});  // a folder without a tokenizer
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("holds no tokenizer"), std::string::npos);
}

TEST(Eval, RefusesWhatIsNotAListOfIds) {
  const test::TemporaryDir dir;
  const auto file = dir.path() / "ids.json";
  for (const char* text : {"{}", "[]", "[[1,\"a\"]]", "[[1,2],3]", "[1", "[[1]]", "[[1, 99999999]]"}) {
    std::ofstream(file, std::ios::trunc) << text;
    const auto result =
        run_duan({"eval", "perplexity", (test::data_dir() / "models" / "qwen3-tied").string(), "--ids", file.string()});
    EXPECT_EQ(result.exit_code, 1) << text;
    EXPECT_EQ(result.err.rfind("error: ", 0), 0u) << text;
  }
}

TEST(Eval, PerplexityOfTheStoryModelEqualsTransformers) {
  DUAN_NEEDS_REFERENCE();
  const auto root = *test::reference_dir() / "data" / "qwen3-tinychat";
  const Json json = perplexity((root / "hf").string(), (root / "val_ids.json").string(), {"--window", "160"});
  EXPECT_NEAR(json.at("perplexity").get<double>(), 3.3896, 1e-3);
  EXPECT_EQ(json.at("tokens").get<int>(), 207 * 159);
}

}  // namespace
}  // namespace duan
