#include <gtest/gtest.h>

#include <filesystem>

#include "support/paths.h"
#include "support/program.h"

namespace duan {
namespace {

namespace fs = std::filesystem;
using test::run_duan;

std::string demo() { return (test::source_dir() / "models" / "demo").string(); }

TEST(Program, ExplainsWrongUsageAndExitsWith2) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {}, {"no-such-command"}, {"run"}, {"run", "demo", "--no-such-flag"}, {"run", "demo", "x", "-t", "0"}}) {
    const auto result = run_duan(arguments);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err, "");
  }
}

TEST(Program, SuggestsTheNearestFlagOrCommand) {
  EXPECT_NE(run_duan({"run", "demo", "x", "--tmep", "0"}).err.find("Did you mean --temp?"), std::string::npos);
  EXPECT_NE(run_duan({"caht", "demo"}).err.find("Did you mean chat?"), std::string::npos);
}

TEST(Program, PrintsHelpAndVersionToStdout) {
  for (const char* flag : {"--help", "--version"}) {
    const auto result = run_duan({flag});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_NE(result.out, "");
    EXPECT_EQ(result.err, "");
  }
}

TEST(Program, NamesAMissingModelInOneLine) {
  for (const char* command : {"run", "inspect", "bench"}) {
    const auto result = run_duan({command, "/no/such/model"}, "x");
    EXPECT_EQ(result.exit_code, 1) << command;
    EXPECT_EQ(result.err.rfind("error: /no/such/model: ", 0), 0u) << result.err;
  }
}

TEST(Program, ReportsAModelFileCutShortWhileInUse) {
  DUAN_NEEDS_TERMINAL();
  const test::TemporaryDir dir;
  fs::copy(demo(), dir.path() / "model");
  test::TerminalProgram chat({"chat", (dir.path() / "model").string()}, {{"HOME", dir.path().string()}});
  chat.wait_for(">");
  fs::resize_file(dir.path() / "model" / "model.safetensors", 4096);
  chat.type("hello\r");
  chat.wait_for("cut short");
  EXPECT_EQ(chat.wait(), 1);
}

TEST(Program, RefusesAnUnknownInstructionSetOrKernel) {
  const std::vector<std::string> arguments = {"run", demo(), "--ids", "1,2", "-n", "1"};
  auto result = run_duan(arguments, "", {{"DUAN_ISA", "mmx"}});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("DUAN_ISA"), std::string::npos);
  result = run_duan(arguments, "", {{"DUAN_KERNEL", "linear:fastest"}});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("fastest"), std::string::npos);
}

}  // namespace
}  // namespace duan
