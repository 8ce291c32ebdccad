#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "base/json.h"
#include "support/models.h"
#include "support/program.h"

namespace duan {
namespace {

using test::run_duan;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

std::string model(const char* name) { return (test::data_dir() / "models" / name).string(); }

fs::path write_calibration(const fs::path& folder, int samples = 12, int vocab = 200) {
  std::string lines;
  uint32_t state = 7;
  for (int s = 0; s < samples; ++s) {
    lines += "{\"input_ids\": [";
    for (int i = 0; i < 40; ++i) {
      state = state * 1664525u + 1013904223u;
      lines += (i > 0 ? "," : "") + std::to_string((state >> 8) % static_cast<uint32_t>(vocab));
    }
    lines += "]}\n";
  }
  std::ofstream(folder / "calibration.jsonl") << lines;
  return folder / "calibration.jsonl";
}

std::map<std::string, std::string> contents(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    files[entry.path().filename().string()] = read_file(entry.path());
  }
  return files;
}

// Starts duan, sends `signal` when `wait` returns, and returns how it ended.
template <typename Wait>
int run_and_signal(const std::vector<std::string>& arguments, int signal, const Wait& wait) {
  const pid_t process = ::fork();
  if (process == 0) {
    std::vector<const char*> argv{test::duan_binary().c_str()};
    const std::string program = test::duan_binary().string();
    argv[0] = program.c_str();
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    argv.push_back(nullptr);
    if (std::freopen("/dev/null", "w", stdout) == nullptr || std::freopen("/dev/null", "w", stderr) == nullptr)
      _exit(9);
    ::execv(argv[0], const_cast<char* const*>(argv.data()));
    _exit(9);
  }
  wait();
  ::kill(process, signal);
  int status = 0;
  ::waitpid(process, &status, 0);
  return status;
}

TEST(Quantize, SaysWhatItDidAndTheModelAnswers) {
  const test::TemporaryDir dir;
  const std::string out = (dir.path() / "out").string(), calibration = write_calibration(dir.path(), 4).string();
  const auto result = run_duan(
      {"quantize", "demo", "-o", out, "--calibration", calibration, "--samples", "4", "--smooth-alpha", "0.5"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("| model.language_model.layers.0.mlp.down_proj |"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("weights 11."), std::string::npos) << result.out;
  const auto answer = run_duan({"run", out, "-p", "你好", "-n", "8", "--temp", "0"});
  EXPECT_EQ(answer.exit_code, 0) << answer.err;
  const auto original = run_duan({"run", "demo", "-p", "你好", "-n", "8", "--temp", "0"});
  EXPECT_EQ(answer.out, original.out);
  const auto json = run_duan(
      {"quantize", "demo", "-o", out, "--method", "rtn", "--weight-observer", "minmax", "--overwrite", "--json"});
  ASSERT_EQ(json.exit_code, 0) << json.err;
  const Json report = parse_json(json.out, "stdout");
  EXPECT_EQ(report.at("recipe").at("method"), "rtn");
  EXPECT_GT(report.at("peak_mb").get<double>(), 1);
  EXPECT_EQ(report.at("modules").size(), 29u);
}

TEST(Quantize, AwqOnTheCommandLine) {
  const test::TemporaryDir dir;
  const std::string out = (dir.path() / "out").string(), calibration = write_calibration(dir.path(), 4).string();
  const auto json = run_duan({"quantize",
                              model("qwen3-untied"),
                              "-o",
                              out,
                              "--method",
                              "awq",
                              "--calibration",
                              calibration,
                              "--group-size",
                              "16",
                              "--asymmetric",
                              "--weight-observer",
                              "minmax",
                              "--duo-scaling",
                              "both",
                              "--search-tokens",
                              "0",
                              "--keep",
                              "layers.0.self_attn.o_proj",
                              "--json"});
  ASSERT_EQ(json.exit_code, 0) << json.err;
  const Json report = parse_json(json.out, "stdout"), recipe = report.at("recipe");
  EXPECT_EQ(recipe.at("method"), "awq");
  EXPECT_EQ(recipe.at("bits"), 4);
  EXPECT_EQ(recipe.at("group_size"), 16);
  EXPECT_EQ(recipe.at("symmetric"), false);
  EXPECT_EQ(recipe.at("weight_observer"), "minmax");
  EXPECT_EQ(recipe.at("duo_scaling"), "both");
  EXPECT_EQ(recipe.at("search_tokens"), 0);
  EXPECT_LT(report.at("smoothing").at(0).at("loss_after").get<double>(),
            report.at("smoothing").at(0).at("loss_before").get<double>());
}

void expect_kills_lose_nothing(const std::vector<std::string>& more) {
  const test::TemporaryDir dir;
  const std::string calibration = write_calibration(dir.path(), 4).string();
  const auto command = [&](const std::string& out) -> std::vector<std::string> {
    std::vector<std::string> arguments = {
        "quantize",      model("qwen3-untied"), "-o",        (dir.path() / out).string(),
        "--calibration", calibration,           "--samples", "4"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  const auto start = std::chrono::steady_clock::now();
  ASSERT_EQ(run_duan(command("whole")).exit_code, 0);
  const auto whole = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start);
  const auto expected = contents(dir.path() / "whole");

  std::mt19937 random(std::random_device{}());
  int kills = 0;
  for (int round = 0; round < 2; ++round) {
    const fs::path out = dir.path() / "killed";
    fs::remove_all(out);
    for (bool done = false; !done;) {
      const auto delay = std::chrono::microseconds(whole.count() / 8 + random() % (whole.count() / 2));
      const int status = run_and_signal(command("killed"), SIGKILL, [&] { std::this_thread::sleep_for(delay); });
      done = WIFEXITED(status);
      kills += !done;
      ASSERT_TRUE(!done || WEXITSTATUS(status) == 0);
      ASSERT_TRUE(!fs::exists(out) || contents(out) == expected);  // complete, or not there
    }
    ASSERT_EQ(contents(out), expected);
    EXPECT_FALSE(fs::exists(out.string() + ".partial"));
  }
  EXPECT_GT(kills, 0);
  // Nothing is left beside the outputs.
  for (const auto& entry : fs::directory_iterator(dir.path())) {
    EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
  }
}

TEST(Quantize, KillsAtAnyMomentLoseNothing) { expect_kills_lose_nothing({}); }

TEST(Quantize, KillsAtAnyMomentLoseNothingOfAwq) {
  expect_kills_lose_nothing({"--method", "awq", "--group-size", "16"});
}

TEST(Quantize, KillsAtAnyMomentLoseNothingOfGptq) {
  expect_kills_lose_nothing({"--method", "awq-gptq", "--weight-observer", "imatrix", "--group-size", "16"});
}

TEST(Quantize, CtrlCKeepsWhatIsFinished) {
  const test::TemporaryDir dir;
  const std::string out = (dir.path() / "out").string(), calibration = write_calibration(dir.path()).string();
  const std::vector<std::string> command = {"quantize",  "demo",      "-o", out,  "--calibration",
                                            calibration, "--samples", "12", "-t", "1"};
  const int status = run_and_signal(command, SIGINT, [&] {
    for (int i = 0; i < 3000 && !fs::exists(dir.path() / "out.partial" / "block-1.json"); ++i) {
      std::this_thread::sleep_for(10ms);
    }
  });
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_FALSE(fs::exists(dir.path() / "out"));
  EXPECT_TRUE(fs::exists(dir.path() / "out.partial" / "state.json"));
  // Other options do not mix with it.
  std::vector<std::string> other = command;
  other.push_back("--no-smooth");
  const auto refused = run_duan(other);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.err.find("smooth, true then and false now"), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find("--restart"), std::string::npos) << refused.err;
  EXPECT_EQ(run_duan({"quantize", "demo", "-o", out, "--method", "int8-dynamic", "--restart"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(dir.path() / "out.partial"));
}

TEST(Quantize, SaysWhenTheDiskIsFull) {
  // A limit on the size of files stands for the disk.
  const test::TemporaryDir dir;
  const std::string out = (dir.path() / "out").string();
  const std::string command = "ulimit -f 100; exec " + test::duan_binary().string() + " quantize " +
                              (test::source_dir() / "models/demo").string() + " --method int8-dynamic -o " + out +
                              " 2> " + (dir.path() / "err").string();
  EXPECT_EQ(WEXITSTATUS(std::system(("sh -c '" + command + "'").c_str())), 1);
  const std::string err = read_file(dir.path() / "err");
  EXPECT_NE(err.find("File too large"), std::string::npos) << err;
  EXPECT_NE(err.find(out), std::string::npos) << err;
  EXPECT_FALSE(fs::exists(out));
  // With room again, it goes on.
  EXPECT_EQ(run_duan({"quantize", "demo", "--method", "int8-dynamic", "-o", out}).exit_code, 0);
}

TEST(Quantize, TheOrderOfSamplesDoesNotMatter) {
  const test::TemporaryDir dir;
  const fs::path calibration = write_calibration(dir.path(), 6);
  const std::string text = read_file(calibration);
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1)
    lines.push_back(text.substr(at, text.find('\n', at) - at + 1));
  std::ofstream reversed(dir.path() / "reversed.jsonl");
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) reversed << *line;
  reversed.close();
  for (const char* name : {"calibration", "reversed"}) {
    const auto result =
        run_duan({"quantize", "-o", (dir.path() / name).string(), "--calibration",
                  (dir.path() / (std::string(name) + ".jsonl")).string(), model("qwen3-untied"), "--samples", "4"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
  EXPECT_EQ(contents(dir.path() / "calibration"), contents(dir.path() / "reversed"));
}

TEST(Quantize, RefusesFlagsThatMakeNoSense) {
  const test::TemporaryDir dir;
  const std::string out = (dir.path() / "out").string(), calibration = write_calibration(dir.path()).string();
  const auto error = [&](std::vector<std::string> more, int code = 1) {
    std::vector<std::string> arguments = {"quantize", model("llama3"), "-o", out};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const auto result = run_duan(arguments);
    EXPECT_EQ(result.exit_code, code) << result.err;
    return result.err;
  };
  EXPECT_NE(error({}).find("--calibration: no calibration samples"), std::string::npos);
  EXPECT_NE(error({"--bits", "8"}).find("--bits: has no effect"), std::string::npos);
  EXPECT_NE(error({"--method", "rtn", "--no-smooth"}).find("--no-smooth: has no effect"), std::string::npos);
  EXPECT_NE(error({"--method", "rtn", "--observer", "mse"}).find("--observer: has no effect"), std::string::npos);
  EXPECT_NE(error({"--method", "awq", "--group-size", "16"}).find("awq measures activations on them"),
            std::string::npos);
  EXPECT_NE(error({"--method", "awq", "--no-smooth"}).find("--no-smooth: has no effect"), std::string::npos);
  EXPECT_NE(error({"--method", "awq", "--observer", "mse"}).find("--weight-observer"), std::string::npos);
  EXPECT_NE(error({"--method", "rtn", "--duo-scaling", "both"}).find("--duo-scaling: has no effect"),
            std::string::npos);
  EXPECT_NE(error({"--calibration", calibration, "--search-tokens", "9"}).find("--search-tokens: has no effect"),
            std::string::npos);
  error({"--method", "awq", "--duo-scaling", "maybe"}, 2);
  EXPECT_NE(error({"--method", "int8-dynamic", "--samples", "3"}).find("--samples: has no effect"), std::string::npos);
  EXPECT_NE(error({"--percentile", "99"}).find("--percentile: has no effect"), std::string::npos);
  EXPECT_NE(error({"--calibration", calibration, "--smooth-alpha", "2"}).find("--smooth-alpha"), std::string::npos);
  EXPECT_NE(error({"--method", "int8-dynamic", "--max-shard-size", "5XB"}).find("--max-shard-size"), std::string::npos);
  for (const char* size : {"48", "0", "-5"}) {
    EXPECT_NE(error({"--method", "rtn", "--group-size", size}).find("--group-size"), std::string::npos) << size;
  }
  EXPECT_NE(error({"--method", "int8-dynamic", "--budget", "60"}).find("no calibration samples"), std::string::npos);
  EXPECT_NE(error({"--method", "int8-dynamic", "--keep", "nothing"}).find("matches no module"), std::string::npos);
  error({"--method", "optq"}, 2);
  EXPECT_NE(error({"--method", "gptq", "--group-size", "16"}).find("gptq measures activations on them"),
            std::string::npos);
  EXPECT_NE(error({"--method", "gptq", "--duo-scaling", "both"}).find("--duo-scaling: has no effect"),
            std::string::npos);
  EXPECT_NE(error({"--method", "awq-gptq", "--calibration", calibration, "--search-tokens", "9"})
                .find("--search-tokens: has no effect"),
            std::string::npos);
  EXPECT_NE(error({"--method", "int8-dynamic", "--weight-observer", "imatrix"}).find("imatrix weighs errors by them"),
            std::string::npos);
  error({"--observer", "max"}, 2);
  error({"--method", "rtn", "--bits", "5"}, 2);
  std::ofstream(dir.path() / "empty.jsonl") << "\n";
  EXPECT_NE(error({"--calibration", (dir.path() / "empty.jsonl").string()}).find("no usable sample"),
            std::string::npos);
  EXPECT_FALSE(fs::exists(out));
  EXPECT_FALSE(fs::exists(out + ".partial"));
}

}  // namespace
}  // namespace duan
