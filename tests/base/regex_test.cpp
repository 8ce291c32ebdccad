#include "base/regex.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace duan {
namespace {

TEST(Regex, MatchesFromTheStartAsPythonsMatch) {
  EXPECT_TRUE(Regex(".*visual.*", "x").matches_start("model.visual.blocks.0"));
  EXPECT_TRUE(Regex("model", "x").matches_start("model.layers"));
  EXPECT_FALSE(Regex("layers", "x").matches_start("model.layers"));
  EXPECT_FALSE(Regex("model$", "x").matches_start("model.layers"));
  EXPECT_TRUE(Regex("", "x").matches_start(""));
}

TEST(Regex, SaysWhereAPatternIsWrong) {
  try {
    Regex("a(b", "--keep");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.where(), "--keep");
    EXPECT_NE(e.message().find("position 3"), std::string::npos) << e.message();
  }
  EXPECT_THROW(Regex(std::string(5000, 'a'), "--keep"), Error);
}

TEST(Regex, RunawayPatternsEnd) {
  const Regex regex("(a|aa)+$", "--keep");
  EXPECT_THROW((void)regex.matches_start(std::string(60, 'a') + '!'), Error);
}

}  // namespace
}  // namespace duan
