#include "cli/history.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/json.h"
#include "support/paths.h"

namespace duan::cli {
namespace {

TEST(History, KeepsLinesAcrossSessionsEachOnce) {
  test::TemporaryDir folder;
  const auto file = folder.path() / "deep" / "history";
  {
    History history(file);
    history.add("one");
    history.add("two\nlines");
    history.add("one");
  }
  EXPECT_EQ(History(file).lines(), (std::vector<std::string>{"two\nlines", "one"}));
}

TEST(History, KeepsWhatAnotherSessionAdds) {
  test::TemporaryDir folder;
  const auto file = folder.path() / "history";
  History first(file), second(file);
  first.add("one");
  second.add("two");
  EXPECT_EQ(History(file).lines(), (std::vector<std::string>{"one", "two"}));
}

TEST(History, KeepsTheNewestThousand) {
  test::TemporaryDir folder;
  const auto file = folder.path() / "history";
  {
    std::ofstream out(file);
    for (size_t i = 0; i < kMaxHistory + 5; ++i) out << "\"" << i << "\"\n";
  }
  const History history(file);
  ASSERT_EQ(history.lines().size(), kMaxHistory);
  EXPECT_EQ(history.lines().front(), "5");
}

TEST(History, SkipsLinesItDidNotWrite) {
  test::TemporaryDir folder;
  const auto file = folder.path() / "history";
  std::ofstream(file) << "\"one\"\nnot json\n[1]\n\n\"two\"";
  EXPECT_EQ(History(file).lines(), (std::vector<std::string>{"one", "two"}));
}

TEST(History, StaysInMemoryWithoutAFile) {
  History history("");
  history.add("one");
  EXPECT_EQ(history.lines().size(), 1u);
}

}  // namespace
}  // namespace duan::cli
