#include "cli/suggest.h"

#include <gtest/gtest.h>

namespace duan::cli {
namespace {

TEST(Suggest, FindsTheNearestWordOrNone) {
  const std::vector<std::string> known = {"--temp", "--top-k", "--top-p", "--threads", "chat", "compare"};
  EXPECT_EQ(nearest("--tmep", known), "--temp");
  EXPECT_EQ(nearest("--thread", known), "--threads");
  EXPECT_EQ(nearest("caht", known), "chat");
  EXPECT_EQ(nearest("compar", known), "compare");
  EXPECT_EQ(nearest("--wavelength", known), "");
  EXPECT_EQ(nearest("x", {}), "");
}

}  // namespace
}  // namespace duan::cli
