#include "base/log.h"

#include <gtest/gtest.h>

#include <vector>

namespace duan {
namespace {

TEST(Log, HandsWarningsToTheSinkAndDropsThemWithoutOne) {
  std::vector<std::string> lines;
  warn("nobody listens");
  set_warning_sink([&](const std::string& line) { lines.push_back(line); });
  warn("plain {braces}");
  warn("{} of {}", 1, 2);
  set_warning_sink({});
  warn("nobody listens again");
  EXPECT_EQ(lines, (std::vector<std::string>{"plain {braces}", "1 of 2"}));
}

}  // namespace
}  // namespace duan
