#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "support/paths.h"
#include "support/program.h"

namespace duan {
namespace {

using test::run_duan;

std::string demo() { return (test::source_dir() / "models" / "demo").string(); }
std::string tiny() { return (test::data_dir() / "models" / "qwen3-tied").string(); }

std::vector<std::string> with(std::vector<std::string> arguments, const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

Json bench(const std::vector<std::string>& more) {
  const auto result = run_duan(with({"bench", "--json", "-t", "1"}, more));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return parse_json(result.out, "stdout");
}

TEST(Bench, MeasuresPromptsAndAnswers) {
  const Json json = bench({tiny(), "-p", "16", "-n", "4", "-d", "0,8", "-r", "1"});
  ASSERT_EQ(json.at("tests").size(), 3u);
  EXPECT_EQ(json.at("tests").at(2).at("test"), "decode 4 at 8");
  for (const Json& row : json.at("tests")) EXPECT_GT(row.at("tokens_per_second"), 0);
}

TEST(Bench, AnAnswerWithoutTheKvCacheGetsSlower) {
  const Json json = bench({tiny(), "--generate", "90", "--prompt-tokens", "4", "--no-kv-cache", "-r", "3"});
  EXPECT_EQ(json.at("prompt_tokens"), 4);
  EXPECT_EQ(json.at("generated_tokens"), 90);
  EXPECT_EQ(json.at("same_tokens"), true);
  for (const char* way : {"kv_cache", "no_kv_cache"}) {
    const Json& windows = json.at(way).at("windows");
    ASSERT_EQ(windows.size(), 5u) << way;
    EXPECT_EQ(windows.at(4).at("first"), 80);
    EXPECT_EQ(windows.at(4).at("tokens"), 10);
    EXPECT_DOUBLE_EQ(
        json.at(way).at("last_over_first").get<double>(),
        windows.at(4).at("tokens_per_second").get<double>() / windows.at(0).at("tokens_per_second").get<double>());
  }
  // Six times as many rows: a third is far from both where the machine is busy.
  EXPECT_LT(json.at("no_kv_cache").at("last_over_first").get<double>(), 0.5);
  EXPECT_FALSE(bench({tiny(), "--generate", "5"}).contains("no_kv_cache"));
}

TEST(Bench, DrawsWhatItMeasured) {
  const test::TemporaryDir dir;
  const auto file = dir.path() / "speed.svg";
  const auto result = run_duan(
      {"bench", demo(), "--no-kv-cache", "--plot", file.string(), "--generate", "41", "--prompt", "hello", "-t", "1"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("| 41 - 41 |"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("| last / first |"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("the same tokens"), std::string::npos) << result.out;
  const std::string svg = read_file(file);
  size_t lines = 0;
  for (size_t at = svg.find("<polyline"); at != std::string::npos; at = svg.find("<polyline", at + 1)) ++lines;
  EXPECT_EQ(lines, 2u);
  EXPECT_NE(svg.find("without KV cache"), std::string::npos);
}

TEST(Bench, TheDefaultAnswerFitsTheModel) {
  // 128 positions.
  const Json json = bench({(test::data_dir() / "models" / "qwen3-yarn").string(), "--no-kv-cache"});
  EXPECT_EQ(json.at("prompt_tokens"), 20);
  EXPECT_EQ(json.at("generated_tokens"), 108);
}

TEST(Bench, RefusesWhatItCannotMeasure) {
  const std::string yarn = (test::data_dir() / "models" / "qwen3-yarn").string();
  auto result = run_duan({"bench", yarn, "--generate", "109"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err.rfind("error: --generate: 109 tokens after a prompt of 20 do not fit", 0), 0u) << result.err;
  result = run_duan({"bench", yarn, "--prompt-tokens", "128"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("do not fit the model's 128 positions"), std::string::npos) << result.err;
  // Before anything is measured.
  result = run_duan({"bench", tiny(), "--generate", "1000", "--no-kv-cache", "--plot", "/no/such/folder/speed.svg"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err.rfind("error: /no/such/folder/speed.svg: ", 0), 0u) << result.err;
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{"--generate", "0"},
                                             {"--generate", "5", "-p", "16"},
                                             {"--no-kv-cache", "-n", "4"},
                                             {"--generate", "5", "-t", "1,2"},
                                             {"--prompt", "a", "--prompt-tokens", "4"},
                                             {"--plot"}}) {
    EXPECT_EQ(run_duan(with({"bench", tiny()}, wrong)).exit_code, 2) << wrong[0];
  }
}

}  // namespace
}  // namespace duan
