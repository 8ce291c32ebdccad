#include <gtest/gtest.h>

#include <fstream>

#include "base/json.h"
#include "cli/chain_model.h"
#include "support/paths.h"
#include "support/program.h"

namespace duan {
namespace {

using test::run_duan;

class Template : public ::testing::Test {
 protected:
  Template() {
    test::write_chain_model(folder_.path(), "ok");
    model_ = folder_.path().string();
  }
  test::TemporaryDir folder_;
  std::string model_;
  const std::string messages_ = R"([{"role": "user", "content": "a"}])";
};

TEST_F(Template, PrintsTheRenderedText) {
  const auto result = run_duan({"template", model_}, messages_);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "<|start|>user\na<|end|>\n<|start|>assistant\n");
  EXPECT_EQ(run_duan({"template", model_, "--no-generation-prompt"}, messages_).out, "<|start|>user\na<|end|>\n");
  EXPECT_EQ(run_duan({"template", model_, "--think", "off"}, messages_).out,
            "<|start|>user\na<|end|>\n<|start|>assistant \n");
}

TEST_F(Template, TakesAListOrAnObjectFromAFile) {
  const std::string file = (folder_.path() / "messages.json").string();
  std::ofstream(file) << R"({"messages": )" << messages_ << R"(, "add_generation_prompt": false})";
  EXPECT_EQ(run_duan({"template", model_, file}).out, "<|start|>user\na<|end|>\n");
}

TEST_F(Template, GivesIdsAndJson) {
  const Json json = Json::parse(run_duan({"template", model_, "--json"}, messages_).out);
  EXPECT_EQ(json["rendered"], "<|start|>user\na<|end|>\n<|start|>assistant\n");
  EXPECT_EQ(json["ids"][0], 701);
  const auto ids = run_duan({"template", model_, "--ids"}, messages_);
  EXPECT_EQ(ids.out.substr(0, 4), "701,");
}

TEST_F(Template, SaysWhatIsWrongWithTheMessages) {
  for (const char* wrong : {"", "7", "{}", "[", "{\"messages\": 7}", "{\"messages\": [], \"kwargs\": 1}"}) {
    const auto result = run_duan({"template", model_}, wrong);
    EXPECT_EQ(result.exit_code, 1) << wrong;
    EXPECT_EQ(result.err.find("error: stdin"), 0u) << result.err;
  }
  const auto line = run_duan({"template", model_, "--jsonl"}, "[]\n{\"messages\": []}\n");
  EXPECT_EQ(line.exit_code, 1);
  EXPECT_NE(line.out.find("\"error\""), std::string::npos);
  EXPECT_NE(line.out.find("\"rendered\""), std::string::npos);
}

}  // namespace
}  // namespace duan
