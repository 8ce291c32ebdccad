#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <fstream>

#include "base/json.h"
#include "cli/chain_model.h"
#include "support/paths.h"
#include "support/program.h"

namespace duan {
namespace {

using test::run_duan;
using test::TerminalProgram;

class Chat : public ::testing::Test {
 protected:
  Chat() {
    test::write_chain_model(model_folder_.path(), "<think>I</think>你好.");
    model_ = model_folder_.path().string();
  }
  // A model that never ends its answer.
  std::string endless() {
    std::filesystem::create_directory(state_.path() / "endless");
    test::write_chain_model(state_.path() / "endless", "xyz", true, 1 << 20);
    return (state_.path() / "endless").string();
  }
  test::Environment environment() const {
    return {{"TERM", "xterm-256color"}, {"XDG_STATE_HOME", state_.path().string()}, {"NO_COLOR", ""}};
  }
  std::filesystem::path history() const { return state_.path() / "duan" / "history"; }

  test::TemporaryDir model_folder_, state_;
  std::string model_;
};

TEST_F(Chat, AnswersEachPipedLineOnItsOwn) {
  const auto result = run_duan({"chat", model_}, "你好\n你能做什么？\n", environment());
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "你好.\n你好.\n");
  EXPECT_EQ(result.err, "");
  EXPECT_FALSE(std::filesystem::exists(history())) << "a pipe leaves no history";
}

TEST_F(Chat, ComputesOnlyWhatIsNew) {
  const auto result = run_duan({"chat", model_, "--stats"}, "one\ntwo\n", environment());
  const size_t second = result.err.rfind("prefill");
  ASSERT_NE(second, std::string::npos) << result.err;
  EXPECT_NE(result.err.find("(0 in the cache already)"), std::string::npos);
  EXPECT_EQ(result.err.find("(0 in the cache already)", second), std::string::npos) << result.err;
}

TEST_F(Chat, AnswersTheSameWithAndWithoutTheCache) {
  const auto both = run_duan({"chat", model_}, "one\n/clear\ntwo\n", environment());
  const auto second = run_duan({"chat", model_}, "two\n", environment());
  EXPECT_EQ(both.out, second.out + second.out);
}

TEST_F(Chat, SavesAndLoadsConversations) {
  const std::string file = (state_.path() / "saved.json").string();
  const auto result =
      run_duan({"chat", model_, "--system", "be kind"}, "\"\"\"one\ntwo\"\"\"\n/save " + file + "\n", environment());
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const Json expected = {{"messages",
                          {{{"role", "system"}, {"content", "be kind"}},
                           {{"role", "user"}, {"content", "one\ntwo"}},
                           {{"role", "assistant"}, {"content", "你好."}}}}};
  EXPECT_EQ(read_json(file), expected) << "thinking is not part of it";
  const std::string again = (state_.path() / "again.json").string();
  run_duan({"chat", model_}, "/load " + file + "\n/retry\n/save " + again + "\n", environment());
  EXPECT_EQ(read_json(again), expected);
}

TEST_F(Chat, RefusesAFileThatIsNoConversation) {
  const std::string file = (state_.path() / "bad.json").string();
  for (const char* content :
       {"[{\"role\": \"user\"}]", "{}", "[1]", "[{\"role\": \"tool\", \"content\": \"\"}]", "{"}) {
    std::ofstream(file) << content;
    const auto result = run_duan({"chat", model_}, "/load " + file + "\n", environment());
    EXPECT_EQ(result.exit_code, 1) << content;
    EXPECT_NE(result.err.find("bad.json"), std::string::npos) << result.err;
  }
}

TEST_F(Chat, ObeysCommandsAndSendsPathsAsText) {
  EXPECT_EQ(run_duan({"chat", model_}, "/exit\nhello\n", environment()).out, "");
  EXPECT_EQ(run_duan({"chat", model_}, "/etc/hosts is a file\n", environment()).out, "你好.\n");
  EXPECT_EQ(run_duan({"chat", model_}, "//help\n", environment()).out, "你好.\n");
  EXPECT_NE(run_duan({"chat", model_}, "/help\n", environment()).out.find("/retry"), std::string::npos);
  const auto wrong = run_duan({"chat", model_}, "/nonsense\n", environment());
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_NE(wrong.err.find("/nonsense"), std::string::npos);
}

TEST_F(Chat, SaysThatTheContextIsFull) {
  const auto result = run_duan({"chat", endless(), "-c", "64"}, "one\n", environment());
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("the context of 64 tokens is full"), std::string::npos) << result.err;
  const auto again = run_duan({"chat", endless(), "-c", "64"}, "one\ntwo\n", environment());
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_NE(again.err.find("/clear"), std::string::npos) << again.err;
}

TEST_F(Chat, EditsChineseTextOnATerminal) {
  DUAN_NEEDS_TERMINAL();
  TerminalProgram program({"chat", model_}, environment());
  program.wait_for("\x1b[?2004h");
  program.type("好你\x1b[D\x1b[D");  // to the beginning
  program.type("你\x1b[F\x7f\r");    // 你好
  program.wait_for("> 你好");
  const std::string answer = program.wait_for("你好.\r\n");
  EXPECT_NE(answer.find("\x1b[2mI\x1b[22m"), std::string::npos) << "thinking is dimmed: " << answer;
  program.wait_for("\x1b[?2004h");
  program.type("/save " + (state_.path() / "typed.json").string() + "\r");
  program.wait_for("saved 2 messages");
  EXPECT_EQ(read_json(state_.path() / "typed.json")["messages"][0]["content"], "你好");
  program.wait_for("\x1b[?2004h");
  program.type("\x04");
  EXPECT_EQ(program.wait(), 0);
}

TEST_F(Chat, PastesSeveralLinesAsOneMessage) {
  DUAN_NEEDS_TERMINAL();
  TerminalProgram program({"chat", model_}, environment());
  program.wait_for("\x1b[?2004h");
  program.type("\x1b[200~one\rtwo\x1b[201~\r");
  program.wait_for("你好.\r\n");
  program.wait_for("\x1b[?2004h");
  program.type("/save " + (state_.path() / "typed.json").string() + "\r");
  program.wait_for("saved 2 messages");
  EXPECT_EQ(read_json(state_.path() / "typed.json")["messages"][0]["content"], "one\ntwo");
}

TEST_F(Chat, CtrlCStopsTheAnswerAndNotTheProgram) {
  DUAN_NEEDS_TERMINAL();
  TerminalProgram program({"chat", endless(), "-c", "1000000"}, environment());
  program.wait_for("\x1b[?2004h");
  program.type("a\r");
  program.wait_for("xyzyz");
  program.type("\x03");
  program.wait_for("[stopped");
  program.wait_for("\x1b[?2004h");
  program.type("b\r");
  program.wait_for("xyzyz");
  program.type("\x03");
  program.wait_for("[stopped");
  program.wait_for("\x1b[?2004h");
  program.type("\x03");
  program.wait_for("[Ctrl-C again");
  program.wait_for("\x1b[?2004h");
  program.type("\x03");
  EXPECT_EQ(program.wait(), 0);
}

TEST_F(Chat, RestoresTheTerminalWhenASignalEndsIt) {
  DUAN_NEEDS_TERMINAL();
  TerminalProgram program({"chat", model_}, environment());
  program.wait_for("\x1b[?2004h");
  program.wait_for("> ");
  EXPECT_FALSE(program.echoes());
  program.kill(SIGTERM);
  program.wait_for("\x1b[?2004l");
  EXPECT_EQ(program.wait(), -SIGTERM);
  EXPECT_TRUE(program.echoes());
}

TEST_F(Chat, RemembersWhatWasTyped) {
  DUAN_NEEDS_TERMINAL();
  {
    TerminalProgram program({"chat", model_}, environment());
    program.wait_for("\x1b[?2004h");
    program.type("first\r");
    program.wait_for("你好.\r\n");
    program.wait_for("\x1b[?2004h");
    program.type("/exit\r");
    EXPECT_EQ(program.wait(), 0);
  }
  struct stat status {};
  ASSERT_EQ(::stat(history().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_EQ(read_file(history()), "\"first\"\n\"/exit\"\n");
  TerminalProgram program({"chat", model_}, environment());
  program.wait_for("\x1b[?2004h");
  program.type("\x1b[A\x1b[A");
  program.wait_for("> first");
  program.type("\r");
  program.wait_for("你好.\r\n");
}

TEST(ChatDemo, ConversesInChinese) {
  const std::string demo = (test::source_dir() / "models" / "demo").string();
  const auto result = run_duan({"chat", demo, "--greedy"}, "你好\n你能做什么？\n");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_GE(std::count(result.out.begin(), result.out.end(), '\n'), 2);
  EXPECT_GT(result.out.size(), 20u) << result.out;
  EXPECT_EQ(result.out.find("think>"), std::string::npos) << result.out;
  EXPECT_EQ(result.out.find('\x1b'), std::string::npos) << result.out;
}

}  // namespace
}  // namespace duan
