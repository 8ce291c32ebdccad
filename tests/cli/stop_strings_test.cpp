#include "cli/stop_strings.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace duan::cli {
namespace {

struct Outcome {
  std::string text;
  bool stopped;
  bool operator==(const Outcome&) const = default;
};

Outcome run(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopStrings stream(stops);
  Outcome outcome{"", false};
  for (const std::string& piece : pieces) outcome.text += stream.push(piece);
  outcome.text += stream.finish();
  outcome.stopped = stream.stopped();
  return outcome;
}

// The text in one piece, byte by byte, and cut at every two places.
void expect_everywhere(const std::vector<std::string>& stops, const std::string& text, const Outcome& expected) {
  std::vector<std::string> bytes;
  for (const char byte : text) bytes.emplace_back(1, byte);
  EXPECT_EQ(run(stops, bytes), expected) << text << " byte by byte";
  for (size_t a = 0; a <= text.size(); ++a) {
    for (size_t b = a; b <= text.size(); ++b) {
      EXPECT_EQ(run(stops, {text.substr(0, a), text.substr(a, b - a), text.substr(b)}), expected)
          << text << " cut at " << a << " and " << b;
    }
  }
}

TEST(StopStrings, EndsBeforeTheStringHoweverTheTextIsCut) {
  expect_everywhere({"stop"}, "one stop two", {"one ", true});
  expect_everywhere({"aab"}, "aaab", {"a", true});
  expect_everywhere({"\n\n"}, "a\nb\n\nc", {"a\nb", true});
  expect_everywhere({"。"}, "你好。再见", {"你好", true});
}

TEST(StopStrings, GivesAllOfATextWithoutThem) {
  expect_everywhere({"stop"}, "sto sto st", {"sto sto st", false});
  expect_everywhere({}, "text", {"text", false});
}

TEST(StopStrings, TakesTheOneThatIsCompleteFirst) {
  expect_everywhere({"xabc", "ab"}, "1xabc", {"1x", true});
  expect_everywhere({"b", "ab"}, "1ab2", {"1", true});
  expect_everywhere({"one", "two"}, "a two one", {"a ", true});
}

TEST(StopStrings, HoldsBackOnlyWhatCouldBecomeOne) {
  StopStrings stream({"stop"});
  EXPECT_EQ(stream.push("a st"), "a ");
  EXPECT_EQ(stream.push("art"), "start");
  EXPECT_EQ(stream.push("s"), "");
  EXPECT_EQ(stream.finish(), "s");
}

TEST(StopStrings, GivesNothingAfterOne) {
  StopStrings stream({"!"});
  EXPECT_EQ(stream.push("a!b"), "a");
  EXPECT_EQ(stream.push("c"), "");
  EXPECT_EQ(stream.finish(), "");
}

TEST(StopStrings, RefusesAnEmptyOne) { EXPECT_THROW(StopStrings({"a", ""}), Error); }

}  // namespace
}  // namespace duan::cli
