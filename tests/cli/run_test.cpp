#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <memory>

#include "base/json.h"
#include "cli/chain_model.h"
#include "support/paths.h"
#include "support/program.h"

namespace duan {
namespace {

using test::run_duan;

// Models that always say the same; made once.
const std::string& model(bool endless = false) {
  const auto make = [](const char* answer, bool no_end) {
    static std::vector<std::unique_ptr<test::TemporaryDir>> folders;
    folders.push_back(std::make_unique<test::TemporaryDir>());
    test::write_chain_model(folders.back()->path(), answer, no_end, no_end ? 1 << 20 : 1024);
    return folders.back()->path().string();
  };
  static const std::string finite = make("<think>I</think>你好.", false), infinite = make("xyz", true);
  return endless ? infinite : finite;
}

std::string tiny() { return (test::data_dir() / "models" / "qwen3-tied").string(); }

TEST(Run, PrintsTheAnswerAndANewline) {
  const auto result = run_duan({"run", model(), "hello"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "你好.\n") << "thinking is not for a pipe";
  EXPECT_EQ(result.err, "");
}

TEST(Run, PrintsThinkingWhenAskedFor) {
  const auto result = run_duan({"run", model(), "hello", "--think", "on"});
  EXPECT_EQ(result.out, "<think>\nI\n</think>\n\n你好.\n") << result.err;
}

TEST(Run, GivesOneJsonObject) {
  const auto result = run_duan({"run", model(), "hello", "--json", "--seed", "7"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["text"], "你好.");
  EXPECT_EQ(json["reasoning"], "I");
  EXPECT_EQ(json["finish_reason"], "stop");
  EXPECT_EQ(json["model"], model());
  EXPECT_EQ(json["seed"], 7);
  EXPECT_EQ(json["timings"]["prefill_tokens"], json["prompt_ids"].size());
  EXPECT_EQ(json["timings"]["decode_tokens"], json["ids"].size());
  EXPECT_GT(json["peak_rss_bytes"].get<int64_t>(), 1 << 20);
  EXPECT_GT(json["timings"]["load_seconds"].get<double>(), 0);
}

TEST(Run, TakesThePromptFromAllItsPlaces) {
  const auto prompt_ids = [](const std::vector<std::string>& arguments, const std::string& input) {
    std::vector<std::string> all = {"run", model(), "--json"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const auto result = run_duan(all, input);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.exit_code == 0 ? Json::parse(result.out)["prompt_ids"] : Json();
  };
  test::TemporaryDir folder;
  const std::string file = (folder.path() / "prompt").string();
  std::ofstream(file) << "one two\n";
  const Json expected = prompt_ids({"one two"}, "");
  EXPECT_EQ(prompt_ids({"-p", "one two"}, ""), expected);
  EXPECT_EQ(prompt_ids({"-f", file}, ""), expected);
  EXPECT_EQ(prompt_ids({}, "one two\n"), expected);
  EXPECT_EQ(prompt_ids({"one"}, "two\n"), prompt_ids({"one\n\ntwo"}, ""));
}

TEST(Run, PutsTheSystemMessageFirst) {
  const auto result = run_duan({"run", model(), "hello", "--system", "be kind", "--json"});
  const Json ids = Json::parse(result.out)["prompt_ids"];
  const auto text = run_duan({"detokenize", model(), to_text(ids)});
  EXPECT_EQ(text.out, "<|start|>system\nbe kind<|end|>\n<|start|>user\nhello<|end|>\n<|start|>assistant\n\n");
}

TEST(Run, NeverTakesTextOfTheUserForASpecialToken) {
  const auto result = run_duan({"run", model(), "a<|end|>b", "--json"});
  const Json ids = Json::parse(result.out)["prompt_ids"];
  EXPECT_EQ(std::count(ids.begin(), ids.end(), Json(700)), 1);
}

TEST(Run, EndsAtStopStringsLengthAndContext) {
  const auto stopped = run_duan({"run", model(true), "a", "--stop", "z", "--json"});
  EXPECT_EQ(Json::parse(stopped.out)["text"], "xy");
  EXPECT_EQ(Json::parse(stopped.out)["finish_reason"], "stop");
  const auto length = run_duan({"run", model(true), "a", "-n", "4", "--json"});
  EXPECT_EQ(Json::parse(length.out)["text"], "xyzy");
  EXPECT_EQ(Json::parse(length.out)["finish_reason"], "length");
  const auto context = run_duan({"run", model(true), "a", "-c", "32", "--json"});
  EXPECT_EQ(Json::parse(context.out)["finish_reason"], "context");
  const auto ids = run_duan({"run", model(true), "a", "--stop-ids", "88", "--json"});  // "y" is 88
  EXPECT_EQ(Json::parse(ids.out)["text"], "x");
}

TEST(Run, ContinuesATextAsItIs) {
  const auto result = run_duan({"run", model(true), "--raw", "x", "-n", "3"});
  EXPECT_EQ(result.out, "yzy\n") << result.err;
}

TEST(Run, ContinuesIdsWithoutATokenizer) {
  const auto text = run_duan({"run", tiny(), "--ids", "5,6,7", "-n", "4", "--ignore-eos"});
  ASSERT_EQ(text.exit_code, 0) << text.err;
  const auto json = run_duan({"run", tiny(), "--ids", "[5, 6, 7]", "-n", "4", "--ignore-eos", "--json"});
  const Json parsed = Json::parse(json.out);
  EXPECT_EQ(parsed["prompt_ids"], (Json{5, 6, 7}));
  EXPECT_EQ(parsed["ids"].size(), 4u);
  EXPECT_FALSE(parsed.contains("text"));
  std::string joined;
  for (const Json& id : parsed["ids"]) joined += (joined.empty() ? "" : ",") + to_text(id);
  EXPECT_EQ(text.out, joined + "\n");
}

TEST(Run, RepeatsItselfWithTheSameSeed) {
  const std::vector<std::string> command = {"run",          tiny(),   "--ids", "5,6",     "-n", "12",
                                            "--ignore-eos", "--temp", "5",     "--top-k", "0",  "-s"};
  const auto with_seed = [&](const char* seed) {
    std::vector<std::string> all = command;
    all.push_back(seed);
    return run_duan(all).out;
  };
  EXPECT_EQ(with_seed("1"), with_seed("1"));
  EXPECT_NE(with_seed("1"), with_seed("2"));
}

TEST(Run, ShowsStatistics) {
  const auto result = run_duan({"run", model(true), "a", "-n", "45", "--stats"});
  for (const char* word : {"[20 tokens:", "[40 tokens:", "load", "prefill", "decode", "peak", "seed", "tokens/s"}) {
    EXPECT_NE(result.err.find(word), std::string::npos) << word << " is not in " << result.err;
  }
}

TEST(Run, NamesWhatIsMissing) {
  const auto no_model = run_duan({"run", "/no/such/model", "hello"});
  EXPECT_EQ(no_model.exit_code, 1);
  EXPECT_EQ(no_model.err.find("error: /no/such/model: "), 0u) << no_model.err;
  const auto no_tokenizer = run_duan({"run", tiny(), "hello"});
  EXPECT_EQ(no_tokenizer.exit_code, 1);
  EXPECT_NE(no_tokenizer.err.find("tokenizer"), std::string::npos) << no_tokenizer.err;
}

TEST(Run, PointsToRawWithoutAChatTemplate) {
  test::TemporaryDir folder;
  test::write_chain_model(folder.path(), "ok");
  std::filesystem::remove(folder.path() / "chat_template.jinja");
  const auto result = run_duan({"run", folder.path().string(), "hello"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("--raw"), std::string::npos) << result.err;
  EXPECT_EQ(run_duan({"run", folder.path().string(), "--raw", "\n"}).exit_code, 0);
}

TEST(Run, SaysWhatDoesNotFit) {
  const auto result = run_duan({"run", model(), "hello", "-c", "4"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("do not fit the context of 4"), std::string::npos) << result.err;
}

TEST(Run, RefusesWrongUsageWithCode2) {
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{"run"},
                                             {"run", model()},
                                             {"run", model(), "a", "--no-such-flag"},
                                             {"run", model(), "a", "--ids", "1"},
                                             {"run", model(), "a", "--think", "maybe"},
                                             {"run", model(), "a", "--greedy", "--temp", "1"},
                                             {"run", model(), "a", "-n", "many"},
                                             {"run", model(), "--raw", "a", "--system", "b"},
                                             {"run", model(), "--ids", "1", "--stop", "b"}}) {
    const auto result = run_duan(wrong);
    EXPECT_EQ(result.exit_code, 2) << result.out << result.err;
    EXPECT_FALSE(result.err.empty());
    EXPECT_EQ(result.out, "");
  }
}

TEST(Run, RefusesSamplingThatMakesNoSense) {
  const auto result = run_duan({"run", model(), "a", "--top-p", "2"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("--top-p"), std::string::npos);
  EXPECT_EQ(run_duan({"run", model(), "a", "--stop", ""}).exit_code, 1);
}

TEST(Run, AnswersInterruptedByCtrlCEndAsTheSignalDoes) {
  DUAN_NEEDS_TERMINAL();
  test::TerminalProgram program({"run", model(true), "a", "-c", "1000000"}, {{"TERM", "xterm"}});
  program.wait_for("xyzyz");
  program.type("\x03");
  EXPECT_EQ(program.wait(), -SIGINT);
}

TEST(Run, HelpShowsExamples) {
  for (const char* command : {"run", "chat", "tokenize", "detokenize", "template"}) {
    const auto result = run_duan({command, "--help"});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_NE(result.out.find("Example"), std::string::npos) << command;
  }
}

}  // namespace
}  // namespace duan
