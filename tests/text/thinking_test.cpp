#include "text/thinking.h"

#include <gtest/gtest.h>

#include <vector>

namespace duan::text {
namespace {

struct Sample {
  bool in_reasoning;
  std::string text, reasoning, content;
};

const std::vector<Sample> kSamples = {
    {false, "<think>\nwhy\n</think>\n\nanswer\n", "why", "answer\n"},
    {false, "<think>a\n\nb</think>c", "a\n\nb", "c"},
    {false, "<think>\n\n</think>\n\nanswer", "", "answer"},
    {false, "\n <think>x</think>y", "x", "y"},
    {false, " plain answer", "", " plain answer"},
    {false, "a <think>b</think>", "", "a <think>b</think>"},
    {false, "<thinking>", "", "<thinking>"},
    {false, "<think>never closed\n", "never closed", ""},
    {false, "<think>a</thin</think>b</think>", "a</thin", "b</think>"},
    {false, "<think>a<b>\n</i></think>\nc < d", "a<b>\n</i>", "c < d"},
    {false, "", "", ""},
    {false, "<thi", "", "<thi"},
    {true, "why\n</think>\n\nanswer", "why", "answer"},
    {true, "\nwhy</think>", "why", ""},
    {true, "</think>x", "", "x"},
    {true, "</thi", "</thi", ""},
    {true, "a\n\n", "a", ""},
    {true, "\xE4\xBD\xA0</think>\n\xE5\xA5\xBD", "\xE4\xBD\xA0", "\xE5\xA5\xBD"},
};

ThinkingSplitter::Piece split(const Sample& sample, const std::vector<size_t>& cuts) {
  ThinkingSplitter splitter(sample.in_reasoning);
  ThinkingSplitter::Piece all;
  const auto add = [&](const ThinkingSplitter::Piece& piece) {
    all.reasoning += piece.reasoning;
    all.content += piece.content;
  };
  size_t from = 0;
  for (const size_t cut : cuts) {
    add(splitter.push(std::string_view(sample.text).substr(from, cut - from)));
    from = cut;
  }
  add(splitter.push(std::string_view(sample.text).substr(from)));
  add(splitter.finish());
  return all;
}

TEST(Thinking, SplitsTheSameWhereverThePiecesEnd) {
  for (const Sample& sample : kSamples) {
    SCOPED_TRACE(sample.text);
    for (size_t a = 0; a <= sample.text.size(); ++a) {
      for (size_t b = a; b <= sample.text.size(); ++b) {
        const ThinkingSplitter::Piece result = split(sample, {a, b});
        ASSERT_EQ(result.reasoning, sample.reasoning) << a << " " << b;
        ASSERT_EQ(result.content, sample.content) << a << " " << b;
      }
    }
    std::vector<size_t> everywhere;
    for (size_t i = 0; i < sample.text.size(); ++i) everywhere.push_back(i);
    EXPECT_EQ(split(sample, everywhere).reasoning, sample.reasoning);
    EXPECT_EQ(split(sample, everywhere).content, sample.content);
  }
}

TEST(Thinking, GivesOutTextAsSoonAsNoTagCanFollow) {
  ThinkingSplitter splitter;
  EXPECT_EQ(splitter.push("<think>").reasoning, "");
  EXPECT_TRUE(splitter.reasoning());
  EXPECT_EQ(splitter.push("one < two").reasoning, "one < two");
  EXPECT_EQ(splitter.push("</").reasoning, "");
  EXPECT_EQ(splitter.push("b").reasoning, "</b");
  EXPECT_EQ(splitter.push("</think>").reasoning, "");
  EXPECT_FALSE(splitter.reasoning());
  EXPECT_EQ(splitter.push("\n\nx</").content, "x</");
}

TEST(Thinking, SeesWhetherThePromptEndsInAnOpenTag) {
  EXPECT_TRUE(ends_in_open_thinking("<|im_start|>assistant\n<think>\n"));
  EXPECT_FALSE(ends_in_open_thinking("<|im_start|>assistant\n"));
  EXPECT_FALSE(ends_in_open_thinking("<|im_start|>assistant\n<think>\n\n</think>\n\n"));
}

}  // namespace
}  // namespace duan::text
