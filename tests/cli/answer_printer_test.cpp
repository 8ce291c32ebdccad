#include "cli/answer_printer.h"

#include <gtest/gtest.h>

namespace duan::cli {
namespace {

std::string shown(AnswerPrinter::Style style, bool with_content = true) {
  AnswerPrinter printer(style);
  std::string out;
  for (const char* text : {"a", "b"}) out += printer.piece(Part::reasoning, text);
  if (with_content) {
    for (const char* text : {"c", "d"}) out += printer.piece(Part::content, text);
  }
  return out += printer.finish();
}

TEST(AnswerPrinter, ShowsReasoningAsItsStyleSays) {
  EXPECT_EQ(shown({.reasoning = false}), "cd\n");
  EXPECT_EQ(shown({.reasoning = true}), "<think>\nab\n</think>\n\ncd\n");
  EXPECT_EQ(shown({.reasoning = true, .dimmed = true}), "\x1b[2ma\x1b[22m\x1b[2mb\x1b[22m\n\ncd\n");
}

TEST(AnswerPrinter, EndsAnAnswerThatOnlyThinks) {
  EXPECT_EQ(shown({.reasoning = false}, false), "\n");
  EXPECT_EQ(shown({.reasoning = true}, false), "<think>\nab\n</think>\n");
  EXPECT_EQ(shown({.reasoning = true, .dimmed = true}, false), "\x1b[2ma\x1b[22m\x1b[2mb\x1b[22m\n");
}

TEST(AnswerPrinter, KeepsTheModelFromSteeringTheTerminal) {
  AnswerPrinter printer({.sanitize = true});
  EXPECT_EQ(printer.piece(Part::content, "a\x1b[2J\x07\t你\n\xC2\x9B"), "a\uFFFD[2J\uFFFD\t你\n\uFFFD");
}

}  // namespace
}  // namespace duan::cli
