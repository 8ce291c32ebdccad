#include "base/svg.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace duan::svg {
namespace {

TEST(Svg, TicksAreRoundAndCoverTheValues) {
  EXPECT_EQ(ticks(10), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(ticks(300), (std::vector<double>{0, 50, 100, 150, 200, 250, 300}));
  EXPECT_EQ(ticks(4281), (std::vector<double>{0, 1000, 2000, 3000, 4000, 5000}));
  for (double highest = 1.7e-7; highest < 1e9; highest *= 1.37) {
    const std::vector<double> values = ticks(highest);
    EXPECT_GE(values.size(), 4u) << highest;
    EXPECT_LE(values.size(), 9u) << highest;
    EXPECT_GE(values.back(), highest);
    EXPECT_LT(values[values.size() - 2], highest);
    const double digits = values[1] / std::pow(10, std::floor(std::log10(values[1]) + 1e-9));
    EXPECT_TRUE(std::abs(digits - 1) < 1e-9 || std::abs(digits - 2) < 1e-9 || std::abs(digits - 5) < 1e-9) << highest;
  }
}

TEST(Svg, AnAxisOfNothingHasNoTicks) {
  EXPECT_THROW(ticks(0), InternalError);
  EXPECT_THROW(ticks(INFINITY), InternalError);
}

TEST(Svg, TextIsEscapedForTagsAndAttributes) {
  EXPECT_EQ(escaped("a<b>&\"c\"'d'"), "a&lt;b&gt;&amp;&quot;c&quot;&#39;d&#39;");
  EXPECT_EQ(escaped(std::string("a\0b\x1F\n", 5)), "a b  ");
  EXPECT_EQ(escaped("\xFF层"), "\xEF\xBF\xBD层");
  EXPECT_EQ(escaped("\xEF\xBF\xBE\xEF\xBF\xBF\xEF\xBF\xBC"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBC");
  EXPECT_EQ(text(1, 2.25, "end", "<", " id=\"x\""),
            "<text x=\"1.0\" y=\"2.2\" text-anchor=\"end\" id=\"x\">&lt;</text>\n");
  EXPECT_EQ(line(0, 1, 2, 3, "class=\"a\""), "<line x1=\"0.0\" y1=\"1.0\" x2=\"2.0\" y2=\"3.0\" class=\"a\"/>\n");
}

}  // namespace
}  // namespace duan::svg
