#include "base/utf8.h"

#include <gtest/gtest.h>

namespace duan::utf8 {
namespace {

TEST(Utf8, RoundTripsEveryCodePoint) {
  for (char32_t code = 0; code <= 0x10FFFF; ++code) {
    if (code == 0xD800) code = 0xE000;  // surrogates are no characters
    std::string text;
    append(text, code);
    const Decoded d = decode(text);
    ASSERT_TRUE(d.valid && d.code == code && d.bytes == text.size()) << static_cast<uint32_t>(code);
  }
}

TEST(Utf8, RefusesOverlongFormsSurrogatesAndWhatLiesBeyondUnicode) {
  for (const char* text :
       {"\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xF0\x80\x80\x80", "\xF0\x8F\xBF\xBF", "\xED\xA0\x80",
        "\xED\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\x80", "\xFF"}) {
    EXPECT_FALSE(is_valid(text));
  }
}

TEST(Utf8, ReplacesEachMaximalSubpartOnce) {
  // The examples of Unicode 15, tables 3-8 to 3-11.
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(replace_invalid("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41"), r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(replace_invalid("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41"), r + r + r + r + r + r + r + r + "A");
  EXPECT_EQ(replace_invalid("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42"), r + r + r + r + r + "A" + r + r + "B");
  EXPECT_EQ(replace_invalid("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41"), r + r + r + r + "A");
}

TEST(Utf8, SaysWhenATextEndsInsideACharacter) {
  EXPECT_TRUE(decode("\xE4\xBD").incomplete);
  EXPECT_TRUE(decode("\xF0").incomplete);
  EXPECT_FALSE(decode("\xE4x").incomplete);
  EXPECT_FALSE(decode("\xC0").incomplete);
}

TEST(Utf8, AssemblesCharactersFromSingleBytes) {
  const std::string text = "a你🙂b";
  Assembler assembler;
  std::string out;
  for (const char c : text) {
    const std::string piece = assembler.push(std::string_view(&c, 1));
    EXPECT_TRUE(is_valid(piece));
    out += piece;
  }
  EXPECT_EQ(out + assembler.finish(), text);
  EXPECT_EQ(assembler.push("\xE4\xBD"), "");
  EXPECT_EQ(assembler.push("x"), "\xEF\xBF\xBDx");
  EXPECT_EQ(assembler.push("\xF0\x9F"), "");
  EXPECT_EQ(assembler.finish(), "\xEF\xBF\xBD");
  EXPECT_EQ(assembler.finish(), "");
}

TEST(Utf8, MeasuresColumnsOfATerminal) {
  EXPECT_EQ(display_width(std::string_view("a你🙂e\u0301")), 6);
  EXPECT_EQ(display_width(U'\t'), 0);
  EXPECT_EQ(display_width(U'\u200B'), 0);
  EXPECT_EQ(display_width(U'한'), 2);
  EXPECT_EQ(display_width(U'é'), 1);
}

}  // namespace
}  // namespace duan::utf8
