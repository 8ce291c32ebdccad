// duan verify through the built program, on what duan quantize writes.
#include <gtest/gtest.h>

#include "base/json.h"
#include "support/paths.h"
#include "support/program.h"

namespace duan {
namespace {

using test::run_duan;

std::string tiny(const char* name) { return (test::data_dir() / "models" / name).string(); }

TEST(Verify, WhatQuantizeWritesLoads) {
  const test::TemporaryDir dir;
  const std::string w4 = (dir.path() / "w4").string(), int8 = (dir.path() / "int8").string();
  ASSERT_EQ(run_duan({"quantize", "demo", "-o", w4, "--method", "rtn", "--weight-observer", "minmax"}).exit_code, 0);
  ASSERT_EQ(run_duan({"quantize", tiny("qwen3-tied"), "-o", int8, "--method", "int8-dynamic"}).exit_code, 0);
  const auto good = run_duan({"verify", w4, "--for", "vllm", "--tensor-parallel", "2"});
  EXPECT_EQ(good.exit_code, 0) << good.out;
  EXPECT_EQ(good.out.find("FAIL"), std::string::npos) << good.out;
  EXPECT_NE(good.out.find("ok    quantization_status: compressed\n"), std::string::npos) << good.out;
  EXPECT_EQ(run_duan({"verify", w4, "--for", "transformers"}).exit_code, 0);
  const auto older = run_duan({"verify", int8, "--for", "transformers"});
  EXPECT_EQ(older.exit_code, 0);
  EXPECT_NE(older.out.find("note  embedding: its integers are used without their scales"), std::string::npos)
      << older.out;

  // Its table of tokens in integers is more than vLLM reads.
  const auto bad = run_duan({"verify", int8, "--for", "vllm"});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_EQ(bad.err, "");
  EXPECT_NE(bad.out.find("FAIL  embedding and head: found model.embed_tokens in integers, expected plain numbers; "
                         "quantize with --keep"),
            std::string::npos)
      << bad.out;
  const std::string kept = (dir.path() / "kept").string();
  ASSERT_EQ(run_duan({"quantize", tiny("qwen3-tied"), "-o", kept, "--method", "int8-dynamic", "--ignore", "re:lm_head"})
                .exit_code,
            0);
  const auto mended = run_duan({"verify", kept, "--for", "vllm"});
  EXPECT_EQ(mended.exit_code, 0) << mended.out;
  const auto plain = run_duan({"verify", kept, "--for", "transformers"});
  EXPECT_EQ(plain.out.find("note  embedding"), std::string::npos) << plain.out;

  const auto json = run_duan({"verify", w4, "--for", "vllm", "--tensor-parallel", "4", "--json"});
  EXPECT_EQ(json.exit_code, 1);
  const Json report = parse_json(json.out, "stdout");
  EXPECT_EQ(report.at("ok"), false);
  EXPECT_EQ(report.at("tensor_parallel"), 4);
  EXPECT_EQ(report.at("device"), "cuda");
  const auto fails = [](const Json& check) { return check.at("verdict") == "FAIL" && check.contains("advice"); };
  EXPECT_EQ(std::count_if(report.at("checks").begin(), report.at("checks").end(), fails), 2) << json.out;
}

TEST(Verify, EndsWithTheCodesOfOtherCommands) {
  EXPECT_EQ(run_duan({"verify", tiny("qwen3-tied")}).exit_code, 2);
  EXPECT_EQ(run_duan({"verify", tiny("qwen3-tied"), "--for", "ollama"}).exit_code, 2);
  EXPECT_EQ(run_duan({"verify", tiny("qwen3-tied"), "--for", "vllm", "--tensor-parallel", "0"}).exit_code, 2);
  const auto flag = run_duan({"verify", tiny("qwen3-tied"), "--for", "transformers", "--device", "cpu"});
  EXPECT_EQ(flag.exit_code, 1);
  EXPECT_NE(flag.err.find("--device: has no effect"), std::string::npos) << flag.err;
  const auto missing = run_duan({"verify", "no/such", "--for", "vllm"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_NE(missing.err.find("no such folder"), std::string::npos) << missing.err;
  const auto help = run_duan({"verify", "--help"});
  EXPECT_NE(help.out.find("Examples:"), std::string::npos);
}

}  // namespace
}  // namespace duan
