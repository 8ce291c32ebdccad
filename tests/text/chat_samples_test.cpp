#include "text/chat_samples.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/paths.h"

namespace duan::text {
namespace {

std::string error_of(const Json& sample) {
  try {
    conversation_of(sample, "chats.jsonl:3");
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(ChatSamples, LinesHaveTheirNumbersAndBlankOnesAreNone) {
  const test::TemporaryDir dir;
  const auto file = dir.path() / "chats.jsonl";
  std::ofstream(file) << "{\"a\": 1}\r\n\n  \t\n[2]";  // the last without an end
  std::vector<std::string> seen;
  for_each_sample_line(file, [&](const Json& sample, const std::string& where) {
    seen.push_back(where.substr(dir.path().string().size() + 1) + " " + to_text(sample));
  });
  EXPECT_EQ(seen, (std::vector<std::string>{"chats.jsonl:1 {\"a\":1}", "chats.jsonl:4 [2]"}));
  std::ofstream(file) << "1\n{\n";
  try {
    for_each_sample_line(file, [](const Json&, const std::string&) {});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.where(), file.string() + ":2");
  }
  EXPECT_THROW(for_each_sample_line(dir.path() / "none.jsonl", [](const Json&, const std::string&) {}), Error);
}

TEST(ChatSamples, AConversationIsItsMessagesAndTools) {
  const Json messages = Json::array({{{"role", "user"}, {"content", "x"}}}), tools = Json::array({{{"name", "f"}}});
  const TemplateInput input = conversation_of({{"messages", messages}, {"tools", tools}, {"other", 1}}, "");
  EXPECT_EQ(input.messages, messages);
  EXPECT_EQ(input.tools, tools);
  EXPECT_FALSE(input.add_generation_prompt);
  EXPECT_TRUE(conversation_of({{"messages", messages}}, "").tools.is_null());
}

TEST(ChatSamples, WhatIsNoConversationIsAnError) {
  EXPECT_EQ(error_of({{"text", "x"}}), "chats.jsonl:3: \"messages\" is missing");
  EXPECT_EQ(error_of({{"messages", 1}}), "chats.jsonl:3: \"messages\" is not a list");
  EXPECT_NE(error_of({{"messages", {1}}}).find("chats.jsonl:3: a message is not an object"), std::string::npos);
  EXPECT_EQ(error_of({{"messages", Json::array({Json::object()})}}), "chats.jsonl:3: \"role\" is missing");
}

TEST(ChatSamples, ARefusalNamesTheTemplateAndTheSample) {
  const Error error = refused_by_template(Error("no such role", "model/chat_template.jinja:7", "why"), "chats.jsonl:3");
  EXPECT_EQ(error.message(), "the chat template (model/chat_template.jinja:7) refuses it: no such role");
  EXPECT_EQ(error.where(), "chats.jsonl:3");
  EXPECT_EQ(error.hint(), "why");
}

}  // namespace
}  // namespace duan::text
