// ONNX folders where commands take models: what runs, what is told, and what ends in one sentence.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "base/json.h"
#include "cli/chain_model.h"
#include "ort/onnx_folders.h"
#include "support/program.h"

namespace duan {
namespace {

using test::run_duan;
namespace fs = std::filesystem;

fs::path tiny() { return test::data_dir() / "models" / "qwen3-tied"; }

void export_model(const fs::path& model, const fs::path& out, const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {"export", model.string(), "-o", out.string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const auto result = run_duan(arguments);
  if (result.exit_code != 0) throw std::runtime_error(result.err);
}

Json json_of(const std::vector<std::string>& arguments, const std::string& input = "") {
  const auto result = run_duan(arguments, input);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return result.exit_code == 0 ? parse_json(result.out, "stdout") : Json();
}

TEST(Onnx, CompareHoldsEveryDialectAgainstTheGoldens) {
  DUAN_NEEDS_ONNX_RUNTIME();
  for (const char* dialect : {"onnx21", "onnx23", "ort"}) {
    for (const std::vector<std::string>& form : {std::vector<std::string>{}, {"--no-kv-cache"}}) {
      const test::TemporaryDir dir;
      std::vector<std::string> more = {"--dialect", dialect};
      more.insert(more.end(), form.begin(), form.end());
      export_model(tiny(), dir.path() / "out", more);
      const std::vector<std::string> compare = {"compare", (dir.path() / "out").string(), "--engine", "onnx", "-t",
                                                "1"};
      std::vector<std::string> arguments = compare;
      arguments.push_back("--json");
      for (const auto& golden : test::goldens(tiny())) arguments.push_back(golden.string());
      const Json json = json_of(arguments);
      EXPECT_EQ(json.at("engine"), "onnx");
      EXPECT_LE(json.at("max_abs").get<double>(), 5e-4);
      EXPECT_TRUE(json.at("greedy_equal").get<bool>());
      EXPECT_EQ(json.at("top1").get<double>(), 1);
      EXPECT_EQ(json.at("cases").size(), test::goldens(tiny()).size());
      arguments = compare;
      arguments.insert(arguments.end(), {"--tol", "0", test::goldens(tiny()).back().string()});
      EXPECT_EQ(run_duan(arguments).exit_code, 1);
    }
  }
}

TEST(Onnx, AnswersAsTheCheckpointDoes) {
  DUAN_NEEDS_ONNX_RUNTIME();
  const test::TemporaryDir dir;
  const std::string model = (dir.path() / "model").string(), out = (dir.path() / "out").string();
  fs::create_directory(model);
  test::write_chain_model(model, "<think>I</think>你好.");
  export_model(model, out);
  const Json expected = json_of({"run", model, "hello", "--json", "--seed", "7"});
  const Json json = json_of({"run", out, "hello", "--json", "--seed", "7"});
  EXPECT_EQ(expected.at("engine"), "native");
  EXPECT_EQ(json.at("engine"), "onnx") << "auto takes what the folder holds";
  for (const char* key : {"prompt_ids", "ids", "text", "reasoning", "finish_reason"}) {
    EXPECT_EQ(json.at(key), expected.at(key)) << key;
  }
  EXPECT_EQ(json_of({"run", model, "hello", "--json", "--engine", "reference"}).at("engine"), "reference");

  const auto stats = run_duan({"run", out, "hello", "--stats", "--threads", "1"});
  EXPECT_EQ(stats.out, "你好.\n");
  EXPECT_NE(stats.err.find("engine   onnx, fp32, 1 thread"), std::string::npos) << stats.err;

  const auto chat = run_duan({"chat", out, "--engine", "onnx"}, "hello\n/clear\nhello\n/retry\n");
  EXPECT_EQ(chat.exit_code, 0) << chat.err;
  EXPECT_EQ(chat.out, run_duan({"chat", model}, "hello\n/clear\nhello\n/retry\n").out);
}

TEST(Onnx, IsEvaluatedAsTheCheckpointIs) {
  DUAN_NEEDS_ONNX_RUNTIME();
  const test::TemporaryDir dir;
  const std::string out = (dir.path() / "out").string(), ids = (dir.path() / "ids.json").string();
  export_model(tiny(), out);
  std::ofstream(ids) << "[[1, 2, 3, 4, 5, 6, 7, 8], [9, 10, 11, 12]]";
  const auto perplexity = [&](const std::string& model, const char* engine) {
    const Json json = json_of({"eval", "perplexity", model, "--ids", ids, "--compute", "fp32", "--json"});
    EXPECT_EQ(json.at("engine"), engine);
    return json.at("perplexity").get<double>();
  };
  EXPECT_NEAR(perplexity(out, "onnx") / perplexity(tiny().string(), "native"), 1, 1e-5);
  // Either side of a comparison.
  for (const auto& [model, reference] : {std::pair(out, tiny().string()), std::pair(tiny().string(), out)}) {
    const std::string engine = model == out ? "onnx" : "native", other = model == out ? "native" : "onnx";
    const Json json = json_of({"eval", "kl", model, "--reference", reference, "--ids", ids, "--engine", engine,
                               "--compute", "fp32", "--reference-engine", other, "--json"});
    EXPECT_LE(json.at("kl").at("max").get<double>(), 1e-8);
    EXPECT_EQ(json.at("top1").get<double>(), 1);
    EXPECT_EQ(json.at("model").get<std::string>(), model + " (" + engine + ", fp32)");
    EXPECT_EQ(json.at("reference").get<std::string>(), reference + " (" + other + ", fp32)");
  }
}

TEST(Onnx, ComputeFp32LeavesInputsOfFourBitWeightsUnrounded) {
  DUAN_NEEDS_ONNX_RUNTIME();
  const test::TemporaryDir dir;
  const std::string model = (dir.path() / "model").string(), out = (dir.path() / "out").string(),
                    ids = (dir.path() / "ids.json").string();
  const auto result = run_duan({"quantize", (test::data_dir() / "models" / "qwen3-untied").string(), "-o", model,
                                "--method", "rtn", "--bits", "4", "--group-size", "16"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  export_model(model, out, {"--dialect", "onnx21"});
  std::ofstream(ids) << "[[1, 2, 3, 4, 5, 6, 7, 8], [9, 10, 11, 12]]";
  const auto largest_kl = [&](const std::vector<std::string>& compute) {
    std::vector<std::string> arguments = {"eval", "kl", out, "--reference", model, "--ids", ids, "--json"};
    arguments.insert(arguments.end(), compute.begin(), compute.end());
    return json_of(arguments).at("kl").at("max").get<double>();
  };
  EXPECT_LE(largest_kl({"--compute", "fp32"}), 1e-8);
  EXPECT_GT(largest_kl({}), 1e-6) << "ONNX Runtime's own choice";
}

TEST(Onnx, TheDemoModelChatsInInt8HereAndThere) {
  const test::TemporaryDir dir;
  const std::string int8 = (dir.path() / "int8").string(), out = (dir.path() / "out").string();
  const std::string calibration = (test::source_dir() / "models" / "demo" / "calibration.jsonl").string();
  // ThreadSanitizer would need minutes for the calibration; a smaller one runs under it in quantize_test.cpp.
  const std::vector<std::string> how = test::kThreadSanitizer ? std::vector<std::string>{"--method", "int8-dynamic"}
                                                              : std::vector<std::string>{"--calibration", calibration};
  std::vector<std::string> quantize = {"quantize", "demo", "-o", int8};
  quantize.insert(quantize.end(), how.begin(), how.end());
  const auto result = run_duan(quantize);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err.find("fewer than"), std::string::npos) << result.err;  // samples

  const std::string talk = "你好\n什么是量化？\n25加36等于多少？\n";
  const auto chat = run_duan({"chat", int8, "--compute", "fp32"}, talk);  // ONNX Runtime computes in nothing less
  EXPECT_EQ(chat.exit_code, 0) << chat.err;
  EXPECT_EQ(chat.out.rfind("你好", 0), 0u) << chat.out;
  EXPECT_NE(chat.out.find("更少的位数"), std::string::npos) << chat.out;
  EXPECT_NE(chat.out.find("25 + 36 = 61。"), std::string::npos) << chat.out;

  export_model(int8, out);
  DUAN_NEEDS_ONNX_RUNTIME();
  const auto there = run_duan({"chat", out, "--engine", "onnx"}, talk);
  EXPECT_EQ(there.exit_code, 0) << there.err;
  EXPECT_EQ(there.out, chat.out);
  const Json expected = json_of({"run", int8, "你好", "--json", "--compute", "fp32"}),
             json = json_of({"run", out, "你好", "--json", "--engine", "onnx"});
  EXPECT_EQ(json.at("engine"), "onnx");
  EXPECT_EQ(json.at("ids"), expected.at("ids"));
}

TEST(Onnx, IsMeasuredWithoutABandwidthNobodyKnows) {
  DUAN_NEEDS_ONNX_RUNTIME();
  const test::TemporaryDir dir;
  const std::string out = (dir.path() / "out").string(), plot = (dir.path() / "plot.svg").string();
  export_model(tiny(), out);
  const Json json = json_of({"bench", out, "-p", "8", "-n", "4", "-d", "4", "-r", "1", "-t", "1", "--json"});
  EXPECT_EQ(json.at("engine"), "onnx");
  EXPECT_FALSE(json.contains("activation_bytes"));
  EXPECT_EQ(json.at("probe_bytes"), 0);
  ASSERT_EQ(json.at("tests").size(), 2u);
  for (const Json& test : json.at("tests")) {
    EXPECT_GT(test.at("tokens_per_second").get<double>(), 0);
    EXPECT_FALSE(test.contains("bytes_per_second"));
  }
  const Json generated =
      json_of({"bench", out, "--generate", "12", "--no-kv-cache", "--plot", plot, "-t", "1", "--json"});
  EXPECT_EQ(generated.at("engine"), "onnx");
  EXPECT_TRUE(generated.at("same_tokens").get<bool>());
  EXPECT_NE(read_file(plot).find("(onnx, fp32, 1 thread)"), std::string::npos);
  const auto table = run_duan({"bench", out, "-p", "8", "-n", "4", "-d", "4", "-r", "1", "-t", "1"});
  EXPECT_NE(table.out.find("(onnx); "), std::string::npos) << table.out;
}

TEST(Onnx, InspectTellsWhatTheFileSays) {
  const test::TemporaryDir dir;
  const std::string out = (dir.path() / "out").string();
  export_model(tiny(), out);
  const Json json = json_of({"inspect", out, "--json"});
  EXPECT_EQ(json.at("engine"), "onnx");
  EXPECT_EQ(json.at("vocab_size"), read_json(tiny() / "config.json").at("vocab_size"));
  EXPECT_GT(json.at("caches_in_place").get<int>(), 0);
  const auto text = run_duan({"inspect", out});
  EXPECT_NE(text.out.find("for ONNX Runtime"), std::string::npos) << text.out << text.err;
  const auto kernels = run_duan({"inspect", out, "--kernels"});
  EXPECT_EQ(kernels.exit_code, 1);
  EXPECT_NE(kernels.err.find("the checkpoint it was exported from"), std::string::npos) << kernels.err;
}

TEST(Onnx, InspectTellsOfTheGraphsOfPictures) {
  const test::TemporaryDir dir;
  const std::string out = (dir.path() / "out").string();
  export_model(test::data_dir() / "vl" / "qwen3-vl", out);
  const Json graphs = json_of({"inspect", out, "--json"}).at("image_graphs");
  ASSERT_EQ(graphs.size(), 2u);
  for (const Json& graph : graphs) {
    EXPECT_GT(graph.at("nodes").get<int>(), 0);
    EXPECT_GT(graph.at("weight_bytes").get<int>(), 0);
  }
  const auto text = run_duan({"inspect", out});
  EXPECT_NE(text.out.find("in vision_encoder.onnx"), std::string::npos) << text.out << text.err;
  EXPECT_NE(text.out.find("in embed_tokens.onnx"), std::string::npos) << text.out << text.err;
}

TEST(Onnx, AnEngineThatDoesNotFitTheFolderIsAnError) {
  const test::TemporaryDir dir;
  const std::string out = (dir.path() / "out").string();
  export_model(tiny(), out, {"--context", "64"});
  const auto error_of = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin() + 2, {"--ids", "1,2,3", "-n", "1"});
    const auto result = run_duan(arguments);
    EXPECT_EQ(result.exit_code, 1) << result.out;
    return result.err;
  };
  EXPECT_NE(error_of({"run", tiny().string(), "--engine", "onnx"}).find("make one: duan export"), std::string::npos);
  for (const char* engine : {"native", "reference"}) {
    EXPECT_NE(error_of({"run", out, "--engine", engine}).find("holds an ONNX model and no safetensors"),
              std::string::npos);
  }
  EXPECT_NE(error_of({"run", out, "--compute", "bf16"}).find("--compute: an ONNX graph states"), std::string::npos);
  EXPECT_NE(error_of({"run", out, "--kv-dtype", "f32"}).find("--kv-dtype: an ONNX graph states"), std::string::npos);
  EXPECT_NE(error_of({"run", out, "-c", "65"}).find("65 positions, the model was made for 64"), std::string::npos);
  const auto reference = run_duan(
      {"eval", "kl", tiny().string(), "--reference", tiny().string(), "--ids", "x", "--reference-engine", "onnx"});
  EXPECT_EQ(reference.exit_code, 1);
  EXPECT_NE(reference.err.find("holds no ONNX model"), std::string::npos) << reference.err;
}

TEST(Onnx, TokensBeyondTheContextAreAnError) {
  DUAN_NEEDS_ONNX_RUNTIME();
  const test::TemporaryDir dir;
  const std::string out = (dir.path() / "out").string();
  export_model(tiny(), out);
  const auto result = run_duan({"run", out, "--ids", "1,2,3,4,5", "-c", "4"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("5 tokens do not fit the context of 4"), std::string::npos) << result.err;
  const auto full = run_duan({"run", out, "--ids", "1,2,3", "-c", "8", "--ignore-eos", "--json"});
  EXPECT_EQ(parse_json(full.out, "stdout").at("finish_reason"), "context");
}

TEST(Onnx, ALibraryThatIsMissingIsAnErrorThatSaysWhatToDo) {
  DUAN_NEEDS_ONNX_RUNTIME();
  const test::TemporaryDir dir;
  const std::string out = (dir.path() / "out").string(), text = (dir.path() / "text.so").string();
  export_model(tiny(), out);
  std::ofstream(text) << "no library";
  const auto error_with = [&](const std::string& library) {
    const auto result = run_duan({"run", out, "--ids", "1"}, "", {{"DUAN_ONNXRUNTIME", library}});
    EXPECT_EQ(result.exit_code, 1) << result.out;
    return result.err;
  };
  EXPECT_EQ(error_with("/nowhere/libonnxruntime.so").rfind("error: DUAN_ONNXRUNTIME: cannot be opened", 0), 0u);
  EXPECT_EQ(error_with(text).rfind("error: DUAN_ONNXRUNTIME: cannot be opened", 0), 0u);
  EXPECT_NE(error_with("libm.so.6").find("has no OrtGetApiBase"), std::string::npos);
  const std::string old = error_with(DUAN_TEST_OLD_ONNXRUNTIME);
  EXPECT_NE(old.find("is ONNX Runtime 1.2.3, at least 1."), std::string::npos) << old;
  EXPECT_NE(old.find("hint:  scripts/setup"), std::string::npos) << old;
  // What needs no ONNX Runtime does not miss it.
  const auto native = run_duan({"run", tiny().string(), "--ids", "1", "-n", "1"}, "", {{"DUAN_ONNXRUNTIME", text}});
  EXPECT_EQ(native.exit_code, 0) << native.err;
}

TEST(Onnx, ABuildWithoutOnnxRuntimeSaysHowToGetIt) {
  if (test::missing_onnx_runtime().find("built without") == std::string::npos) GTEST_SKIP() << "this build has it";
  const test::TemporaryDir dir;
  const std::string out = (dir.path() / "out").string();
  export_model(tiny(), out);
  const auto result = run_duan({"run", out, "--ids", "1"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("hint:  scripts/setup"), std::string::npos) << result.err;
}

}  // namespace
}  // namespace duan
