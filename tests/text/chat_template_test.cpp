#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/error.h"
#include "support/paths.h"

namespace duan::text {
namespace {

namespace fs = std::filesystem;

void write(const fs::path& file, const std::string& text) { std::ofstream(file, std::ios::binary) << text; }

TemplateInput conversation(const std::string& json, bool prompt = true) {
  TemplateInput input;
  input.messages = parse_json(json, "messages");
  input.add_generation_prompt = prompt;
  return input;
}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::vector<Json> reference_cases() {
  std::istringstream lines(read_file(*test::reference_dir() / "golden/tokenizer/cases/chat.jsonl"));
  std::vector<Json> cases;
  for (std::string line; std::getline(lines, line);) cases.push_back(parse_json(line, "chat.jsonl"));
  return cases;
}

TemplateInput input_of(const Json& sample) {
  return {sample["messages"], sample["tools"], sample["add_generation_prompt"].get<bool>(), sample["kwargs"]};
}

TEST(ChatTemplate, RendersAllReferenceConversationsOfQwen3AsTransformersDoes) {
  DUAN_NEEDS_REFERENCE();
  const fs::path folder = *test::reference_dir() / "golden/tokenizer/hf";
  const ChatTemplate text = ChatTemplate::load(folder / "Qwen3-1.7B");
  const ChatTemplate vision = ChatTemplate::load(folder / "Qwen3-VL-8B-Instruct");
  size_t compared = 0;
  for (const Json& sample : reference_cases()) {
    const ChatTemplate& source = sample["template"] == "qwen3" ? text : vision;
    EXPECT_EQ(source.render(input_of(sample)), sample["rendered"].get<std::string>()) << sample["name"];
    ++compared;
  }
  EXPECT_EQ(compared, 180u);
}

// Without tools (whose introduction is our own text) the demo template renders what Qwen3's does.
TEST(ChatTemplate, DemoTemplateAgreesWithQwen3WithoutTools) {
  DUAN_NEEDS_REFERENCE();
  const fs::path file = test::data_dir() / "templates" / "demo_chat.jinja";
  const ChatTemplate demo = ChatTemplate::parse(read_file(file), file.string());
  size_t compared = 0;
  for (const Json& sample : reference_cases()) {
    if (sample["template"] != "qwen3" || !sample["tools"].is_null()) continue;
    EXPECT_EQ(demo.render(input_of(sample)), sample["rendered"].get<std::string>()) << sample["name"];
    ++compared;
  }
  EXPECT_GT(compared, 80u);
}

TEST(ChatTemplate, DemoTemplateRendersToolsCallsAndAnswers) {
  const fs::path file = test::data_dir() / "templates" / "demo_chat.jinja";
  const ChatTemplate demo = ChatTemplate::parse(read_file(file), file.string());
  TemplateInput input = conversation(R"([
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Weather?"},
    {"role": "assistant", "content": "", "reasoning_content": "call it",
     "tool_calls": [{"type": "function", "function": {"name": "weather", "arguments": {"city": "K\u00f6ln", "days": 2}}}]},
    {"role": "tool", "content": "sun"}, {"role": "tool", "content": "rain"}])");
  input.tools = parse_json(R"([{"type": "function", "function": {"name": "weather"}}])", "tools");
  input.kwargs["enable_thinking"] = false;
  EXPECT_EQ(
      demo.render(input),
      "<|im_start|>system\nBe brief.\n\n# Tools\n\nThese functions may be called. Each line between the tags "
      "describes one as JSON.\n<tools>\n{\"type\": \"function\", \"function\": {\"name\": \"weather\"}}\n</tools>\n\n"
      "To call one, answer with its name and arguments as JSON:\n<tool_call>\n{\"name\": \"...\", \"arguments\": "
      "{...}}\n</tool_call><|im_end|>\n"
      "<|im_start|>user\nWeather?<|im_end|>\n"
      "<|im_start|>assistant\n<think>\ncall it\n</think>\n\n<tool_call>\n{\"name\": \"weather\", \"arguments\": "
      "{\"city\": \"K\u00f6ln\", \"days\": 2}}\n</tool_call><|im_end|>\n"
      "<|im_start|>user\n<tool_response>\nsun\n</tool_response>\n<tool_response>\nrain\n</tool_response><|im_end|>\n"
      "<|im_start|>assistant\n<think>\n\n</think>\n\n");
}

TEST(ChatTemplate, DemoTemplateRefusesUnknownRolesWithTheLineOfTheTemplate) {
  const ChatTemplate demo = ChatTemplate::parse(read_file(test::data_dir() / "templates" / "demo_chat.jinja"), "demo");
  const std::string error = error_of([&] { demo.render(conversation(R"([{"role": "robot", "content": "x"}])")); });
  EXPECT_NE(error.find("unknown role robot"), std::string::npos) << error;
  EXPECT_EQ(error.substr(0, 5), "demo:");
}

TEST(ChatTemplate, TemplateFileComesBeforeTheJsonFileAndTheTokenizerConfig) {
  const test::TemporaryDir folder;
  write(folder.path() / "tokenizer_config.json",
        R"({"chat_template": "config {{ eos_token }}", "eos_token": {"content": "<e>"},
                                                     "bos_token": "<b>", "unk_token": null})");
  EXPECT_EQ(ChatTemplate::load(folder.path()).render(conversation("[]")), "config <e>");
  write(folder.path() / "chat_template.json", R"({"chat_template": "json {{ bos_token }}{{ unk_token is defined }}"})");
  EXPECT_EQ(ChatTemplate::load(folder.path()).render(conversation("[]")), "json <b>False");
  write(folder.path() / "chat_template.jinja", "file {{ messages | length }}");
  EXPECT_EQ(ChatTemplate::load(folder.path()).render(conversation("[1]")), "file 1");
}

TEST(ChatTemplate, NamedTemplatesAreChosenByTools) {
  const test::TemporaryDir folder;
  write(folder.path() / "tokenizer_config.json",
        R"({"chat_template": [{"name": "default", "template": "D"}, {"name": "tool_use", "template": "T{{ tools[0] }}"},
                              {"name": "rag", "template": "R"}]})");
  const ChatTemplate loaded = ChatTemplate::load(folder.path());
  TemplateInput input = conversation("[]");
  EXPECT_EQ(loaded.render(input), "D");
  input.tools = Json::array({"x"});
  EXPECT_EQ(loaded.render(input), "Tx");
}

TEST(ChatTemplate, GivesTheTemplateItsArguments) {
  const ChatTemplate shown = ChatTemplate::parse(
      "{{ tools is none }}{{ documents is none }}{{ add_generation_prompt }}{{ think }}{{ x }}", "t");
  TemplateInput input = conversation("[]", false);
  input.kwargs = parse_json(R"({"think": true, "x": 1.5})", "kwargs");
  EXPECT_EQ(shown.render(input), "TrueTrueFalseTrue1.5");
}

TEST(ChatTemplate, RefusesFoldersAndFilesWithoutATemplate) {
  const test::TemporaryDir folder;
  const auto error = [&] { return error_of([&] { ChatTemplate::load(folder.path()); }); };
  EXPECT_NE(error().find("no chat template"), std::string::npos) << error();
  write(folder.path() / "tokenizer_config.json", "[]");
  EXPECT_NE(error().find("does not hold a JSON object"), std::string::npos) << error();
  write(folder.path() / "tokenizer_config.json", R"({"chat_template": 5})");
  EXPECT_NE(error().find("must be a string or a list"), std::string::npos) << error();
  write(folder.path() / "tokenizer_config.json", R"({"chat_template": ["x"]})");
  EXPECT_NE(error().find("is not {name, template}"), std::string::npos) << error();
  write(folder.path() / "tokenizer_config.json", R"({"chat_template": [{"name": "rag", "template": "x"}]})");
  EXPECT_NE(error().find("'default'"), std::string::npos) << error();
  write(folder.path() / "tokenizer_config.json", R"({"chat_template": "x", "bos_token": 5})");
  EXPECT_NE(error().find("bos_token must be"), std::string::npos) << error();
  write(folder.path() / "chat_template.json", "{}");
  EXPECT_NE(error().find("no key chat_template"), std::string::npos) << error();
}

TEST(ChatTemplate, RefusesArgumentsThatAreNotScalarsOrAreReserved) {
  const ChatTemplate any = ChatTemplate::parse("x", "t");
  TemplateInput input = conversation("[]");
  const auto error = [&] { return error_of([&] { any.render(input); }); };
  input.kwargs = parse_json(R"({"a": [1]})", "kwargs");
  EXPECT_NE(error().find("argument 'a' of a chat template is array"), std::string::npos) << error();
  input.kwargs = parse_json(R"({"messages": 1})", "kwargs");
  EXPECT_NE(error().find("reserved"), std::string::npos) << error();
  input.kwargs = Json::array();
  EXPECT_NE(error().find("must be an object"), std::string::npos) << error();
  input.kwargs = Json::object();
  input.tools = 5;
  EXPECT_NE(error().find("tools must be"), std::string::npos) << error();
  input.tools = nullptr;
  input.messages = "hi";
  EXPECT_NE(error().find("messages must be"), std::string::npos) << error();
}

TEST(ChatTemplate, InvalidUtf8InMessagesIsReplaced) {
  TemplateInput input;
  input.messages = Json::array({"a\xff"});
  EXPECT_EQ(ChatTemplate::parse("{{ messages[0] }}", "t").render(input), "a\xEF\xBF\xBD");
}

TEST(ChatTemplate, RendersTheTimeByTheFormatGiven) {
  const std::string year = ChatTemplate::parse("{{ strftime_now('%Y') }}", "t").render(conversation("[]"));
  EXPECT_EQ(year.size(), 4u);
  EXPECT_GE(std::stoi(year), 2025);
}

}  // namespace
}  // namespace duan::text
