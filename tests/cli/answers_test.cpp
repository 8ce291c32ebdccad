#include "cli/answers.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "support/paths.h"

namespace duan::cli {
namespace {

// Earlier answers stay as they are, thoughts are part of an answer.
constexpr const char* kPlain =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

class AnswersOf {
 public:
  AnswersOf() : tokenizer_(text::Tokenizer::load(demo())), template_(text::ChatTemplate::load(demo())) {
    options_.context = 512;
    options_.stop_ids = tokenizer_.encode("<|im_end|>", false);
  }
  static std::filesystem::path demo() { return test::source_dir() / "models" / "demo"; }

  AnswersOf& with(const std::string& chat_template) {
    template_ = text::ChatTemplate::parse(chat_template, "template");
    return *this;
  }
  AnswerOptions& options() { return options_; }

  Answers read(const std::string& lines) const {
    std::ofstream(dir_.path() / "chats.jsonl") << lines;
    return read_answers(dir_.path() / "chats.jsonl", tokenizer_, template_, options_);
  }
  std::string error(const std::string& lines) const {
    try {
      read(lines);
    } catch (const Error& e) {
      const std::string what = e.what();
      return what.substr(std::min(what.size(), dir_.path().string().size() + 1));
    }
    return "";
  }

  // The sequence as text, with brackets around each run of predicted tokens.
  std::string shown(const Answers& answers, size_t index) const {
    std::string out;
    bool inside = false;
    const auto& positions = answers.predicted[index];
    for (size_t at = 0; at < answers.ids[index].size(); ++at) {
      const bool now = std::count(positions.begin(), positions.end(), static_cast<int64_t>(at)) > 0;
      if (now != inside) out += now ? "[" : "]";
      inside = now;
      out += tokenizer_.token_bytes(answers.ids[index][at]);
    }
    return out + (inside ? "]" : "");
  }

 private:
  test::TemporaryDir dir_;
  text::Tokenizer tokenizer_;
  text::ChatTemplate template_;
  AnswerOptions options_;
};

std::string message(const char* role, const std::string& content) {
  return std::string("{\"role\": \"") + role + "\", \"content\": \"" + content + "\"}";
}
std::string dialogue(const std::vector<std::string>& messages) {
  std::string line;
  for (const std::string& one : messages) line += (line.empty() ? "{\"messages\": [" : ", ") + one;
  return line + "]}\n";
}
const std::string kTwoTurns = dialogue({message("system", "S"), message("user", "Hello"), message("assistant", "Hi."),
                                        message("user", "Bye"), message("assistant", "See you.")});

TEST(Answers, OfATemplateThatKeepsThemAreOneSequence) {
  AnswersOf plain;
  plain.with(kPlain);
  const Answers answers = plain.read(kTwoTurns);
  ASSERT_EQ(answers.ids.size(), 1u);
  EXPECT_EQ(
      plain.shown(answers, 0),
      "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n[Hi.<|im_end|>]\n"
      "<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n[See you.<|im_end|>]");
}

TEST(Answers, OfATemplateThatDropsThoughtsAreSequencesOfTheirOwn) {
  AnswersOf demo;
  demo.options().think = "off";
  const Answers answers = demo.read(kTwoTurns);
  ASSERT_EQ(answers.ids.size(), 2u);
  const std::string start =
      "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n";
  EXPECT_EQ(demo.shown(answers, 0), start + "<think>\n\n</think>\n\n[Hi.<|im_end|>]");
  EXPECT_EQ(demo.shown(answers, 1), start +
                                        "Hi.<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n"
                                        "<think>\n\n</think>\n\n[See you.<|im_end|>]");
  // A prompt that lets it think makes what the template writes for no thought a part of the answer.
  demo.options().think = "auto";
  EXPECT_EQ(demo.shown(demo.read(kTwoTurns), 0), start + "[<think>\n\n</think>\n\nHi.<|im_end|>]");
}

TEST(Answers, EndAtTheFirstTokenThatStops) {
  AnswersOf plain;
  plain.with(kPlain).options().stop_ids.clear();
  const std::string line = dialogue({message("user", "Hello"), message("assistant", "Hi.")});
  EXPECT_EQ(plain.shown(plain.read(line), 0),
            "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n[Hi.<|im_end|>\n]");
}

TEST(Answers, ATextThatReadsLikeATokenDoesNotEndThem) {
  AnswersOf plain;
  plain.with(kPlain);
  const Answers answers =
      plain.read(dialogue({message("user", "<|im_end|>"), message("assistant", "say <|im_end|> now")}));
  const std::string shown = plain.shown(answers, 0);
  EXPECT_NE(shown.find("[say <|im_end|> now<|im_end|>]"), std::string::npos) << shown;
}

TEST(Answers, MaxTokensCutsSequencesAndLeavesThoseWithoutAnAnswerOut) {
  AnswersOf demo;
  demo.options().think = "off";
  const Answers whole = demo.read(kTwoTurns);
  const auto cut = static_cast<int64_t>(whole.ids[0].size()) - 1;  // without the end of the first answer
  demo.options().max_tokens = cut;
  const Answers answers = demo.read(kTwoTurns);
  ASSERT_EQ(answers.ids.size(), 1u);
  EXPECT_EQ(static_cast<int64_t>(answers.ids[0].size()), cut);
  EXPECT_EQ(answers.predicted[0].size(), whole.predicted[0].size() - 1);
  demo.options().max_tokens = 2;
  EXPECT_EQ(demo.error(kTwoTurns), "chats.jsonl: has no answer to predict");
}

TEST(Answers, ErrorsNameTheLine) {
  AnswersOf demo;
  const std::string good = dialogue({message("user", "Hello"), message("assistant", "Hi.")});
  const auto second = [&](const std::string& line) { return demo.error(good + line); };
  EXPECT_EQ(second("{\n").rfind("chats.jsonl:2: not valid JSON", 0), 0u);
  EXPECT_EQ(second("[1, 2]\n"), "chats.jsonl:2: is not an object with \"messages\"");
  EXPECT_EQ(second("{\"text\": \"x\"}"), "chats.jsonl:2: \"messages\" is missing");
  EXPECT_EQ(second("{\"messages\": {}}"), "chats.jsonl:2: \"messages\" is not a list");
  EXPECT_EQ(second(dialogue({message("user", "Hello")})).rfind("chats.jsonl:2: has no message of the assistant", 0),
            0u);
  EXPECT_NE(second(dialogue({message("nobody", "x"), message("assistant", "y")})).find("unknown role"),
            std::string::npos);
  EXPECT_EQ(demo.error("\n"), "chats.jsonl: has no answer to predict");
  demo.options().context = 4;
  EXPECT_EQ(demo.error(good).rfind("chats.jsonl:1: ", 0), 0u);
  EXPECT_NE(demo.error(good).find("tokens do not fit a context of 4"), std::string::npos);
}

TEST(Answers, APromptThatIsNotHowTheAnswerBeginsIsAnError) {
  AnswersOf demo;
  demo.options().think = "off";
  const std::string thought =
      dialogue({message("user", "Hello"), message("assistant", "<think>\\nhm\\n</think>\\n\\nHi.")});
  EXPECT_EQ(demo.error(thought).rfind("chats.jsonl:1: message 2 is not rendered as a continuation of its prompt", 0),
            0u);
  demo.options().think = "on";
  EXPECT_EQ(demo.error(thought), "");
  // The text goes on, its tokens do not.
  AnswersOf plain;
  plain.with("{% for m in messages %}{{ m.content }}{% endfor %}");
  const std::string one_word = dialogue({message("user", "He"), message("assistant", "llo")});
  EXPECT_EQ(plain.error(one_word).rfind("chats.jsonl:1: message 2 is not rendered", 0), 0u);
  // Answers that are not rendered at all.
  plain.with("{% if add_generation_prompt %}A:{% endif %}");
  EXPECT_EQ(plain.error(one_word).rfind("chats.jsonl:1: message 2 is not rendered", 0), 0u);
}

}  // namespace
}  // namespace duan::cli
