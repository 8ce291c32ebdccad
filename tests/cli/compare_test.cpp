#include <gtest/gtest.h>

#include "base/json.h"
#include "support/models.h"
#include "support/program.h"

namespace duan {
namespace {

using test::run_duan;

std::vector<std::string> arguments(const std::filesystem::path& model, std::vector<std::string> more) {
  std::vector<std::string> all = {"compare", model.string()};
  for (const auto& golden : test::goldens(model)) all.push_back(golden.string());
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

TEST(Compare, PassesEveryTinyModelInBothEngines) {
  for (const auto& model : test::tiny_models()) {
    for (const char* engine : {"native", "reference"}) {
      const auto result = run_duan(arguments(model, {"--engine", engine, "--json"}));
      ASSERT_EQ(result.exit_code, 0) << model << result.out << result.err;
      const Json json = parse_json(result.out, "stdout");
      EXPECT_LE(json.at("max_abs").get<double>(), 5e-4);
      EXPECT_TRUE(json.at("greedy_equal").get<bool>());
      EXPECT_EQ(json.at("top1").get<double>(), 1);
      EXPECT_EQ(json.at("cases").size(), test::goldens(model).size());
    }
  }
}

TEST(Compare, ExitsWith1BeyondTheToleranceAndNamesTheNode) {
  const auto model = test::data_dir() / "models" / "qwen3-untied";
  const auto result = run_duan(arguments(model, {"--compute", "bf16", "--tol", "1e-6"}));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.out.find("FAILED, first divergence: model.layers.0.input_layernorm"), std::string::npos);
  EXPECT_EQ(result.err, "");
}

TEST(Compare, PassesTheDemoModel) {
  for (const char* engine : {"native", "reference"}) {
    std::vector<std::string> all = {"compare", "demo", "--engine", engine};
    for (const auto& entry : std::filesystem::directory_iterator(test::data_dir() / "models" / "demo")) {
      all.push_back(entry.path().string());
    }
    const auto result = run_duan(all);
    EXPECT_EQ(result.exit_code, 0) << engine << "\n" << result.out << result.err;
  }
}

TEST(Compare, EveryInstructionSetPasses) {
  const auto model = test::data_dir() / "models" / "qwen3-untied";
  for (const char* isa : {"plain", "avx2", "avx512", "avx512_bf16"}) {
    const auto result = run_duan(arguments(model, {}), "", {{"DUAN_ISA", isa}});
    EXPECT_EQ(result.exit_code, 0) << isa << result.out << result.err;
  }
}

// Cases made by transformers that are not in the repository.
TEST(Compare, PassesTheReferenceModels) {
  DUAN_NEEDS_REFERENCE();
  const auto root = *test::reference_dir() / "golden" / "models";
  for (const char* name : {"qwen3-tied", "qwen3-untied", "qwen3-sharded-fp32", "qwen3-yarn", "qwen2", "llama"}) {
    for (const char* engine : {"native", "reference"}) {
      std::vector<std::string> all = {"compare", (root / "models" / name).string(), "--engine", engine};
      for (const auto& entry : std::filesystem::directory_iterator(root / "goldens" / name)) {
        all.push_back(entry.path().string());
      }
      const auto result = run_duan(all);
      EXPECT_EQ(result.exit_code, 0) << name << " " << engine << "\n" << result.out << result.err;
    }
  }
}

}  // namespace
}  // namespace duan
