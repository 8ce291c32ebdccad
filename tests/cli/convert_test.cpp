// duan convert through the built program, and the other commands on AutoAWQ and GPTQ folders.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>

#include "base/json.h"
#include "support/paths.h"
#include "support/program.h"
#include "support/rounded_models.h"

namespace duan {
namespace {
namespace fs = std::filesystem;

using test::run_duan;

std::string tiny(const char* name) { return (test::data_dir() / "models" / name).string(); }

// The prompt as ids: the tiny models have no tokenizer.
std::string golden_of(const char* name) {
  return (test::data_dir() / "models" / name / "goldens" / "n3.safetensors").string();
}

TEST(Convert, TheOutputAnswersAsTheSourceDoes) {
  const test::TemporaryDir dir;
  const std::string awq = (dir.path() / "awq").string(), out = (dir.path() / "out").string();
  test::write_rounded_model(test::source_dir() / "models" / "demo", awq, {.storage = "awq", .group = 128});
  const auto result = run_duan({"convert", awq, "-o", out});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("28 layers of 4 bits, groups of 128, with zero points; 1 plain"), std::string::npos)
      << result.out;
  const auto before = run_duan({"run", awq, "-p", "你好", "-n", "6", "--temp", "0"});
  const auto after = run_duan({"run", out, "-p", "你好", "-n", "6", "--temp", "0"});
  ASSERT_EQ(before.exit_code, 0) << before.err;
  EXPECT_EQ(before.out, after.out);
  EXPECT_NE(before.err.find("AutoAWQ are put in another order"), std::string::npos) << before.err;
  EXPECT_EQ(after.err.find("another order"), std::string::npos) << after.err;
  const auto chat = run_duan({"chat", awq, "-n", "4", "--temp", "0"}, "你好\n");
  EXPECT_EQ(chat.exit_code, 0) << chat.err;
  EXPECT_EQ(chat.out, run_duan({"chat", out, "-n", "4", "--temp", "0"}, "你好\n").out);
  const auto verified = run_duan({"verify", out, "--for", "vllm"});
  EXPECT_EQ(verified.exit_code, 0) << verified.out;
}

TEST(Convert, SaysWhatItWroteAsJson) {
  const test::TemporaryDir dir;
  const std::string gptq = (dir.path() / "gptq").string(), out = (dir.path() / "out").string();
  test::write_rounded_model(tiny("qwen3-untied"), gptq, {.storage = "gptq", .bits = 8, .symmetric = true});
  const auto result = run_duan({"convert", gptq, "-o", out, "--json", "--max-shard-size", "20KB"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = parse_json(result.out, "stdout");
  EXPECT_EQ(json.at("source").at("format"), "GPTQ");
  EXPECT_EQ(json.at("bits"), 8);
  EXPECT_EQ(json.at("group_size"), 16);
  EXPECT_EQ(json.at("symmetric"), true);
  EXPECT_EQ(json.at("modules").at("quantized"), 21);
  EXPECT_GT(json.at("files").size(), 3u);
  for (const Json& file : json.at("files")) {
    EXPECT_TRUE(fs::exists(fs::path(out) / file.at("name").get<std::string>())) << file;
  }
}

TEST(Convert, EveryCommandReadsTheSource) {
  const test::TemporaryDir dir;
  const std::string gptq = (dir.path() / "gptq").string();
  test::write_rounded_model(tiny("qwen3-untied"), gptq, {.storage = "gptq_v2"});
  const auto inspected = run_duan({"inspect", gptq});
  EXPECT_EQ(inspected.exit_code, 0) << inspected.err;
  EXPECT_NE(inspected.out.find("int4 in groups of 16, asymmetric"), std::string::npos) << inspected.out;
  EXPECT_EQ(inspected.out.find("unused"), std::string::npos) << inspected.out;
  EXPECT_EQ(inspected.err, "");
  const auto compared = run_duan({"compare", gptq, golden_of("qwen3-untied"), "--json"});
  EXPECT_NE(compared.out.find("rel_l2"), std::string::npos) << compared.err;
  // Exported, it is what its conversion is.
  const std::string out = (dir.path() / "out").string();
  ASSERT_EQ(run_duan({"convert", gptq, "-o", out}).exit_code, 0);
  for (const std::string& folder : {gptq, out}) {
    const auto exported = run_duan({"export", folder, "-o", folder + "-onnx"});
    EXPECT_EQ(exported.exit_code, 0) << exported.err;
  }
  for (const char* file : {"model.onnx", "model.onnx.data"}) {
    EXPECT_TRUE(read_file(gptq + "-onnx/" + file) == read_file(out + "-onnx/" + file)) << file;
  }
  EXPECT_EQ(run_duan({"bench", gptq, "-p", "4", "-n", "2", "-r", "1"}).exit_code, 0);
}

TEST(Convert, DequantizesToPlainNumbers) {
  const test::TemporaryDir dir;
  const std::string int8 = (dir.path() / "int8").string(), out = (dir.path() / "out").string();
  ASSERT_EQ(run_duan({"quantize", "demo", "-o", int8, "--method", "int8-dynamic"}).exit_code, 0);
  const auto result = run_duan({"convert", int8, "-o", out, "--dequantize"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("29 layers as plain BF16"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("the source rounds inputs of layers to int8, the output does not"), std::string::npos);
  const std::vector<std::string> question = {"-p", "你好", "-n", "6", "--temp", "0"};
  const auto answer = [&](const std::string& model) {
    std::vector<std::string> arguments = {"run", model};
    arguments.insert(arguments.end(), question.begin(), question.end());
    return run_duan(arguments).out;
  };
  EXPECT_EQ(answer(out), answer(int8));
  EXPECT_EQ(run_duan({"verify", out, "--for", "transformers"}).exit_code, 0);
  // A plain model can be quantized again.
  EXPECT_EQ(run_duan({"quantize", out, "-o", (dir.path() / "again").string(), "--method", "rtn"}).exit_code, 0);

  const auto json = run_duan({"convert", int8, "-o", out, "--dequantize", "f32", "--overwrite", "--json"});
  ASSERT_EQ(json.exit_code, 0) << json.err;
  EXPECT_EQ(parse_json(json.out, "stdout").at("dtype"), "F32");
  const auto unknown = run_duan({"convert", int8, "-o", out, "--dequantize", "q8"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_NE(unknown.err.find("--dequantize"), std::string::npos) << unknown.err;
  const auto plain = run_duan({"convert", "demo", "-o", out, "--dequantize", "--overwrite"});
  EXPECT_EQ(plain.exit_code, 1);
  EXPECT_NE(plain.err.find("there is nothing to decode"), std::string::npos) << plain.err;
}

TEST(Convert, AFullDiskLeavesNothing) {
  // A limit on the size of files stands for the disk.
  const test::TemporaryDir dir;
  const fs::path awq = dir.path() / "awq", out = dir.path() / "out";
  test::write_rounded_model(tiny("qwen3-untied"), awq, {.storage = "awq"});
  const std::string command = "ulimit -f 20; exec " + test::duan_binary().string() + " convert " + awq.string() +
                              " -o " + out.string() + " 2> " + (dir.path() / "err").string();
  EXPECT_EQ(WEXITSTATUS(std::system(("sh -c '" + command + "'").c_str())), 1);
  const std::string err = read_file(dir.path() / "err");
  EXPECT_NE(err.find("File too large"), std::string::npos) << err;
  EXPECT_NE(err.find(out.string()), std::string::npos) << err;
  for (const auto& entry : fs::directory_iterator(dir.path())) {
    EXPECT_TRUE(entry.path() == awq || entry.path().filename() == "err") << entry.path();
  }
}

TEST(Convert, EndsWithTheCodesOfOtherCommands) {
  const test::TemporaryDir dir;
  const std::string out = (dir.path() / "out").string();
  const auto plain = run_duan({"convert", tiny("qwen3-untied"), "-o", out});
  EXPECT_EQ(plain.exit_code, 1);
  EXPECT_NE(plain.err.find("is not quantized"), std::string::npos) << plain.err;
  EXPECT_NE(plain.err.find("hint:"), std::string::npos) << plain.err;
  EXPECT_EQ(run_duan({"convert", tiny("qwen3-untied")}).exit_code, 2);
  const auto help = run_duan({"convert", "--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_NE(help.out.find("Examples:"), std::string::npos);
  const auto size = run_duan({"convert", tiny("qwen3-untied"), "-o", out, "--max-shard-size", "5XB"});
  EXPECT_NE(size.err.find("--max-shard-size"), std::string::npos) << size.err;

  test::write_rounded_model(tiny("qwen3-untied"), dir.path() / "act", {.storage = "gptq", .scattered = true});
  const auto refused = run_duan({"convert", (dir.path() / "act").string(), "-o", out});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.err.find("desc_act"), std::string::npos) << refused.err;
  EXPECT_FALSE(fs::exists(out));
}

}  // namespace
}  // namespace duan
