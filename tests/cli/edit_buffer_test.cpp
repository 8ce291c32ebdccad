#include "cli/edit_buffer.h"

#include <gtest/gtest.h>

namespace duan::cli {
namespace {

using Event = EditBuffer::Event;

constexpr const char *kLeft = "\x1b[D", *kRight = "\x1b[C", *kHome = "\x1b[H", *kEnd = "\x1b[F", *kDelete = "\x1b[3~";

Event feed(EditBuffer& buffer, std::string_view bytes) {
  Event last = Event::none;
  for (const char byte : bytes) last = buffer.feed(byte);
  return last;
}

std::string typed(std::string_view bytes) {
  EditBuffer buffer;
  feed(buffer, bytes);
  return buffer.text();
}

TEST(EditBuffer, TakesTextInUtf8ByteByByte) {
  EditBuffer buffer;
  feed(buffer, "a\xE4\xBD");
  EXPECT_EQ(buffer.text(), "a");
  feed(buffer, "\xA0\xF0\x9F\x98\x80");
  EXPECT_EQ(buffer.text(), "a你😀");
  EXPECT_EQ(buffer.cursor(), 3u);
}

TEST(EditBuffer, DropsBytesThatAreNoUtf8) {
  EXPECT_EQ(typed("a\xFF"
                  "b"),
            "ab");
  EXPECT_EQ(typed("a\xE4"
                  "b"),
            "ab");
  EXPECT_EQ(typed("a\xC2\x9B"
                  "b"),
            "ab")
      << "a C1 control, which terminals obey";
}

TEST(EditBuffer, MovesAndInsertsByCharacter) {
  EXPECT_EQ(typed(std::string("你好") + kLeft + "们"), "你们好");
  EXPECT_EQ(typed(std::string("bc") + kHome + "a" + kEnd + "d"), "abcd");
  EXPECT_EQ(typed("bc\x01"
                  "a\x05"
                  "d"),
            "abcd");
  EXPECT_EQ(typed(std::string("ab") + kLeft + kLeft + kLeft + "x" + kRight + kRight + kRight + "y"), "xaby");
  EXPECT_EQ(typed("ab\x02\x02"
                  "c\x06"
                  "d"),
            "cadb");
}

TEST(EditBuffer, ErasesByCharacter) {
  EXPECT_EQ(typed("你好\x7f"), "你");
  EXPECT_EQ(typed("\x7f"), "");
  EXPECT_EQ(typed(std::string("你好") + kHome + kDelete), "好");
  EXPECT_EQ(typed("abc\x01\x04"), "bc");
  EXPECT_EQ(typed(std::string("abc") + kLeft + "\x0b"), "ab");
  EXPECT_EQ(typed(std::string("abc") + kLeft + "\x15"), "c");
  EXPECT_EQ(typed("one two  \x17"), "one ");
}

TEST(EditBuffer, KeepsMarksAndJoinedEmojiWithTheirBase) {
  EXPECT_EQ(typed("ae\xCC\x81\x7f"), "a") << "e with a combining acute is one character";
  EXPECT_EQ(typed(std::string("e\xCC\x81") + kLeft + "x"), "xe\xCC\x81");
  EXPECT_EQ(typed(std::string("e\xCC\x81z") + kHome + kDelete), "z");
  EXPECT_EQ(typed("a👩\xE2\x80\x8D💻\x7f"), "a") << "joined by U+200D";
}

TEST(EditBuffer, TellsWhatTheKeysAskFor) {
  EditBuffer buffer;
  EXPECT_EQ(feed(buffer, "\r"), Event::accept);
  EXPECT_EQ(feed(buffer, "\x03"), Event::interrupt);
  EXPECT_EQ(feed(buffer, "\x04"), Event::end);
  EXPECT_EQ(feed(buffer, "\x0c"), Event::redraw_all);
  EXPECT_EQ(feed(buffer, "\x1a"), Event::suspend);
  EXPECT_EQ(feed(buffer, "\x1b[A"), Event::older);
  EXPECT_EQ(feed(buffer, "\x1bOB"), Event::newer);
  feed(buffer, "x");
  EXPECT_EQ(feed(buffer, "\x04"), Event::none) << "Ctrl-D leaves only an empty line";
}

TEST(EditBuffer, IgnoresSequencesItDoesNotKnow) {
  EXPECT_EQ(typed("a\x1b[15~\x1b[1;2Zb"), "ab");
  EXPECT_EQ(typed("a\x1b[" + std::string(100, '1') + "b"), "a" + std::string(100 - 31, '1') + "b");
}

TEST(EditBuffer, ForgetsALoneEscapeKey) {
  EditBuffer buffer;
  feed(buffer, "a\x1b");
  EXPECT_TRUE(buffer.in_sequence());
  buffer.end_sequence();
  feed(buffer, "[b");
  EXPECT_EQ(buffer.text(), "a[b");
}

TEST(EditBuffer, KeepsNewlinesOfAPaste) {
  EditBuffer buffer;
  EXPECT_EQ(feed(buffer, "\x1b[200~one\rtwo\r\nthree\nfour\r\r\x03\x1b[201~"), Event::none);
  EXPECT_EQ(buffer.text(), "one\ntwo\nthree\nfour\n\n");
  EXPECT_EQ(feed(buffer, "\r"), Event::accept);
}

TEST(EditBuffer, TakesEscapeSequencesOutOfAPaste) { EXPECT_EQ(typed("\x1b[200~a\x1b[31mb\x1b[201~c"), "a[31mbc"); }

TEST(EditBuffer, InsertsANewlineAtAltEnter) {
  EditBuffer buffer;
  EXPECT_EQ(feed(buffer, "a\x1b\rb"), Event::none);
  EXPECT_EQ(buffer.text(), "a\nb");
}

TEST(EditBuffer, StopsLineKeysAtLineEnds) {
  EditBuffer buffer;
  buffer.set_text("one\ntwo");
  feed(buffer, "\x01x");
  EXPECT_EQ(buffer.text(), "one\nxtwo");
  feed(buffer, "\x0b");
  EXPECT_EQ(buffer.text(), "one\nx");
}

TEST(EditBuffer, DrawsThePromptAndTheCursorBehindTheText) {
  EditBuffer buffer;
  buffer.set_text("你好");
  const auto drawing = buffer.draw("> ", 80);
  EXPECT_EQ(drawing.rows, std::vector<std::string>{"> 你好"});
  EXPECT_EQ(drawing.cursor_row, 0u);
  EXPECT_EQ(drawing.cursor_column, 6u) << "each of the two is two columns wide";
}

TEST(EditBuffer, WrapsAtTheLastColumnAndNeverSplitsAWideCharacter) {
  EditBuffer buffer;
  buffer.set_text("abc你好");  // 2 + 3 columns, then 2 each
  auto drawing = buffer.draw("> ", 8);
  EXPECT_EQ(drawing.rows, (std::vector<std::string>{"> abc你", "好"}));
  EXPECT_EQ(drawing.cursor_row, 1u);
  EXPECT_EQ(drawing.cursor_column, 2u);
  buffer.set_text("abcdef");  // fills the row: the cursor stands on the next one
  drawing = buffer.draw("> ", 8);
  EXPECT_EQ(drawing.rows, (std::vector<std::string>{"> abcdef", ""}));
  EXPECT_EQ(drawing.cursor_row, 1u);
  EXPECT_EQ(drawing.cursor_column, 0u);
}

TEST(EditBuffer, StartsRowsAfterNewlinesBelowTheText) {
  EditBuffer buffer;
  buffer.set_text("a\nb");
  const auto drawing = buffer.draw("> ", 80);
  EXPECT_EQ(drawing.rows, (std::vector<std::string>{"> a", "  b"}));
  EXPECT_EQ(drawing.cursor_column, 3u);
}

TEST(EditBuffer, SurvivesEveryPairOfBytes) {
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      EditBuffer buffer;
      feed(buffer, "x你");
      for (const int byte : {0x1b, a, b, a, int{'y'}}) buffer.feed(static_cast<char>(byte));
      const auto drawing = buffer.draw("> ", 5);
      ASSERT_LT(drawing.cursor_row, drawing.rows.size());
      ASSERT_LT(drawing.cursor_column, 5u);
    }
  }
}

}  // namespace
}  // namespace duan::cli
