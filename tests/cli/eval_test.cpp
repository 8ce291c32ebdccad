#include <gtest/gtest.h>

#include <fstream>

#include "base/json.h"
#include "support/paths.h"
#include "support/program.h"

namespace duan {
namespace {

using test::run_duan;

Json perplexity(const std::string& model, const std::string& ids, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments = {"eval", "perplexity", model, "--ids", ids, "--json"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const auto result = run_duan(arguments, "", {}, 300);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return parse_json(result.out, "stdout");
}

TEST(Eval, PerplexityIsTheSameForListsAndWindowsAndEngines) {
  const test::TemporaryDir dir;
  const auto lists = dir.path() / "lists.json", flat = dir.path() / "flat.json";
  std::ofstream(lists) << "[[1,2,3,4,5,6],[7,8,9,10,11,12]]";
  std::ofstream(flat) << "[1,2,3,4,5,6,7,8,9,10,11,12]";
  const std::string model = (test::data_dir() / "models" / "qwen3-tied").string();
  const Json a = perplexity(model, lists.string(), {"--compute", "fp32"});
  const Json b = perplexity(model, flat.string(), {"--compute", "fp32", "--window", "6"});
  EXPECT_EQ(a.at("perplexity"), b.at("perplexity"));
  EXPECT_EQ(a.at("tokens").get<int>(), 10);
  const Json reference = perplexity(model, lists.string(), {"--engine", "reference"});
  EXPECT_NEAR(reference.at("perplexity").get<double>() / a.at("perplexity").get<double>(), 1, 1e-4);
}

TEST(Eval, RefusesWhatIsNotAListOfIds) {
  const test::TemporaryDir dir;
  const auto file = dir.path() / "ids.json";
  for (const char* text : {"{}", "[]", "[[1,\"a\"]]", "[[1,2],3]", "[1", "[[1]]", "[[1, 99999999]]"}) {
    std::ofstream(file, std::ios::trunc) << text;
    const auto result =
        run_duan({"eval", "perplexity", (test::data_dir() / "models" / "qwen3-tied").string(), "--ids", file.string()});
    EXPECT_EQ(result.exit_code, 1) << text;
    EXPECT_EQ(result.err.rfind("error: ", 0), 0u) << text;
  }
}

TEST(Eval, PerplexityOfTheStoryModelEqualsTransformers) {
  DUAN_NEEDS_REFERENCE();
  const auto root = *test::reference_dir() / "data" / "qwen3-tinychat";
  const Json json = perplexity((root / "hf").string(), (root / "val_ids.json").string(), {"--window", "160"});
  EXPECT_NEAR(json.at("perplexity").get<double>(), 3.3896, 1e-3);
  EXPECT_EQ(json.at("tokens").get<int>(), 207 * 159);
}

}  // namespace
}  // namespace duan
