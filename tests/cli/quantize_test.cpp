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
#include "support/quantized_folder.h"
#include "support/xml.h"

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

TEST(Quantize, BitsAndGroupsMeanTheBestMethodThatHasThem) {
  const test::TemporaryDir dir;
  const std::string calibration = write_calibration(dir.path(), 4).string();
  for (const bool whole_rows : {false, true}) {
    std::vector<std::string> command = {
        "quantize",     model("qwen3-untied"),   "-o",        (dir.path() / "out").string(),
        "--overwrite",  "--calibration",         calibration, "--json",
        "--group-size", whole_rows ? "-1" : "16"};
    if (whole_rows) command.insert(command.end(), {"--bits", "4", "--include", "lm_head"});
    const auto json = run_duan(command);
    ASSERT_EQ(json.exit_code, 0) << json.err;
    EXPECT_EQ(parse_json(json.out, "stdout").at("recipe").at("method"), "awq-gptq");
  }
  const auto error = run_duan({"quantize", "demo", "-o", (dir.path() / "out").string(), "--bits", "4"});
  EXPECT_EQ(error.exit_code, 1);
  EXPECT_NE(error.err.find("awq-gptq measures activations"), std::string::npos) << error.err;
}

TEST(Quantize, TableHasOneColumnForAReason) {
  const test::TemporaryDir dir;
  const auto result = run_duan({"quantize", model("qwen3-untied"), "-o", (dir.path() / "out").string(), "--method",
                                "int8-dynamic", "--keep", "embed_tokens|lm_head"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("embed_tokens\\|lm_head"), std::string::npos) << result.out;
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
  const auto expected = test::files_of(dir.path() / "whole");

  std::mt19937 random(std::random_device{}());
  int kills = 0;
  for (int round = 0; round < 2; ++round) {
    const fs::path out = dir.path() / "killed", partial = dir.path() / "killed.partial";
    const auto is_work_gone = [&] { return !fs::exists(partial) || fs::is_empty(partial); };
    fs::remove_all(out);
    for (bool done = false; !done;) {
      const auto delay = std::chrono::microseconds(whole.count() / 8 + random() % (whole.count() / 2));
      const int status = run_and_signal(command("killed"), SIGKILL, [&] { std::this_thread::sleep_for(delay); });
      kills += !WIFEXITED(status);
      ASSERT_TRUE(!WIFEXITED(status) || WEXITSTATUS(status) == 0);
      ASSERT_TRUE(!fs::exists(out) || test::files_of(out) == expected);  // complete, or not there
      // A kill may come when nothing is left to do, or nothing but to remove an empty folder.
      done = WIFEXITED(status) || (fs::exists(out) && is_work_gone());
    }
    ASSERT_EQ(test::files_of(out), expected);
    EXPECT_TRUE(is_work_gone());
    fs::remove(partial);
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

TEST(Quantize, TakesComputeWhereItMatters) {
  const auto refused = run_duan({"quantize", "demo", "-o", "out", "--compute", "bf16"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.err.find("--compute"), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find("awq, gptq and awq-gptq"), std::string::npos) << refused.err;
}

TEST(Quantize, LeavesAReportThatEvaluatesTheOutput) {
  const test::TemporaryDir dir;
  const std::string out = (dir.path() / "out").string(), held_out = (dir.path() / "<held & out>.json").string();
  std::ofstream(held_out) << "[[1, 2, 3, 4, 5, 6, 7, 8], [9, 8, 7]]";
  std::vector<std::string> command = {"quantize",
                                      model("qwen3-untied"),
                                      "-o",
                                      out,
                                      "--method",
                                      "rtn",
                                      "--bits",
                                      "8",
                                      "--keep",
                                      "up_proj(?#<&>)",
                                      "--weight-observer",
                                      "minmax",
                                      "--group-size",
                                      "16"};
  ASSERT_EQ(run_duan(command).exit_code, 0);
  const auto plain = test::files_of(out);
  command.insert(command.end(), {"--evaluate", held_out, "--overwrite"});
  const auto result = run_duan(command);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("Against the source on 9 tokens of <held & out>.json: KL "), std::string::npos)
      << result.out;
  const Json report = read_json(fs::path(out) / "quantization_report.json"), evaluation = report.at("evaluation");
  EXPECT_EQ(evaluation.at("tokens"), 9);
  EXPECT_EQ(evaluation.at("sequences"), 2);
  // It is what duan eval kl says.
  const auto eval = run_duan(
      {"eval", "kl", out, "--reference", model("qwen3-untied"), "--ids", held_out, "--compute", "fp32", "--json"});
  ASSERT_EQ(eval.exit_code, 0) << eval.err;
  const Json said = parse_json(eval.out, "stdout");
  for (const char* key : {"kl", "top1", "top1_interval_95", "perplexity", "reference_perplexity"}) {
    EXPECT_EQ(evaluation.at(key), said.at(key)) << key;
  }
  const test::Xml xml = test::parse_xml(read_file(fs::path(out) / "quantization_report.html"));
  ASSERT_EQ(xml.error, "");
  size_t marks = 0;
  for (const Json& module : report.at("modules")) {
    EXPECT_TRUE(xml.has_text("td", module.at("module").get<std::string>())) << module;
    marks += module.contains("output_error") + module.contains("weight_error");
  }
  EXPECT_EQ(xml.count("g", "mark"), marks);
  EXPECT_GT(marks, 5u);
  EXPECT_TRUE(xml.has_text("td", "--keep up_proj(?#<&>)"));
  // The checkpoint does not depend on it.
  auto evaluated = test::files_of(out);
  Json without = parse_json(evaluated.at("quantization_report.json"), "report");
  without.erase("evaluation");
  evaluated["quantization_report.json"] = to_text(without, 1);
  EXPECT_EQ(evaluated, plain);
}

TEST(Quantize, RefusesWhatItCannotEvaluateOnBeforeItBegins) {
  const test::TemporaryDir dir;
  const auto error = [&](const std::string& name, const std::string& content) {
    std::ofstream(dir.path() / name) << content;
    const auto result = run_duan({"quantize", model("qwen3-untied"), "-o", (dir.path() / "out").string(), "--method",
                                  "int8-dynamic", "--evaluate", (dir.path() / name).string()});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_FALSE(fs::exists(dir.path() / "out.partial"));
    return result.err;
  };
  EXPECT_NE(error("a.csv", "x").find("a.csv: is not a kind of file that a model is evaluated on"), std::string::npos);
  EXPECT_NE(error("a.json", "[[1, 99999]]").find("a.json: token id 99999 is outside the vocabulary"),
            std::string::npos);
  EXPECT_NE(error("a.json", "[[1], [2]]").find("a.json: no sequence of two or more tokens"), std::string::npos);
  EXPECT_NE(error("a.json", "{}").find("a.json: expected a JSON list"), std::string::npos);
}

TEST(Quantize, CalibratesOnPicturesAndGoesOnAfterAKill) {
  const test::TemporaryDir dir;
  const fs::path demo = test::source_dir() / "models/demo";
  fs::copy_file(demo / "ocr/regular/019.png", dir.path() / "a.png");
  fs::copy_file(demo / "ocr/regular/001.png", dir.path() / "b.png");
  const auto question = [](const char* picture) -> Json {
    return {{"dataset_name", "d"}, {"type", "t"}, {"image_path", picture}, {"question", "?"}, {"answers", "x"}};
  };
  std::ofstream(dir.path() / "ocr.json") << to_text(Json::array({question("a.png"), question("b.png")}));
  const auto command = [&](const char* out) -> std::vector<std::string> {
    return {"quantize",
            demo.string(),
            "-o",
            (dir.path() / out).string(),
            "--calibration",
            (dir.path() / "ocr.json").string(),
            "--samples",
            "2",
            "--no-smooth",
            "-t",
            "1"};
  };
  ASSERT_EQ(run_duan(command("whole")).exit_code, 0);
  const Json calibration = read_json(dir.path() / "whole/quantization_report.json").at("calibration");
  EXPECT_EQ(calibration.at("pictures"), 2);
  EXPECT_GT(calibration.at("image_tokens"), 2);
  const auto killed = [&](const char* block) {
    run_and_signal(command("killed"), SIGKILL, [&] {
      for (int i = 0;
           i < 60000 && !fs::exists(dir.path() / "killed.partial" / block) && !fs::exists(dir.path() / "killed"); ++i) {
        std::this_thread::sleep_for(1ms);
      }
    });
  };
  killed("block-1.json");  // pictures are read still
  ASSERT_TRUE(fs::exists(dir.path() / "killed.partial"));
  // Other pixels are another set, as large as the picture is.
  fs::rename(dir.path() / "a.png", dir.path() / "kept.png");
  fs::copy_file(demo / "ocr/regular/047.png", dir.path() / "a.png");
  const auto refused = run_duan(command("killed"));
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.err.find("holds the unfinished work of another run (hash, "), std::string::npos) << refused.err;
  fs::rename(dir.path() / "kept.png", dir.path() / "a.png");
  killed("block-7.json");  // they are no more
  ASSERT_EQ(run_duan(command("killed")).exit_code, 0);
  EXPECT_EQ(test::files_of(dir.path() / "killed"), test::files_of(dir.path() / "whole"));
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
  EXPECT_EQ(test::files_of(dir.path() / "calibration"), test::files_of(dir.path() / "reversed"));
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
  EXPECT_NE(error({"--calibration", calibration, "--max-pixels", "4096"}).find("--max-pixels: has no effect"),
            std::string::npos);
  EXPECT_NE(error({"--method", "int8-static", "--bits", "8"}).find("--bits: has no effect"), std::string::npos);
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
  for (const auto& [flag, value] : {std::pair{"--smooth-gqa", ""},
                                    {"--no-propagate-error", ""},
                                    {"--propagate-tokens", "9"},
                                    {"--image-token-weight", "0.5"}}) {
    std::vector<std::string> with = {"--method", "rtn", "--calibration", calibration, flag};
    if (*value != '\0') with.emplace_back(value);
    EXPECT_NE(error(with).find(std::string(flag) + ": has no effect with --method rtn"), std::string::npos) << flag;
  }
  EXPECT_NE(error({"--method", "gptq", "--calibration", calibration, "--no-propagate-error", "--propagate-tokens", "9"})
                .find("--propagate-tokens: has no effect with --no-propagate-error"),
            std::string::npos);
  EXPECT_NE(error({"--calibration", calibration, "--no-smooth", "--smooth-gqa"}).find("--smooth-gqa: has no effect"),
            std::string::npos);
  EXPECT_NE(error({"--method", "int8-dynamic", "--smooth-gqa"}).find("--smooth-gqa: has no effect"), std::string::npos);
  EXPECT_NE(error({"--method", "gptq", "--calibration", calibration, "--image-token-weight", "0.5"})
                .find("add --no-propagate-error"),
            std::string::npos);
  EXPECT_NE(
      error({"--method", "gptq", "--calibration", calibration, "--no-propagate-error", "--image-token-weight", "0.5"})
          .find("--image-token-weight: has no effect: no sample has a picture"),
      std::string::npos);
  error({"--method", "gptq", "--calibration", calibration, "--image-token-weight", "0"}, 2);
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
