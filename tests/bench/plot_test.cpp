#include "bench/plot.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <regex>

#include "base/error.h"

namespace duan::bench {
namespace {

std::vector<std::string> matches(const std::string& text, const std::string& pattern) {
  const std::regex expression(pattern);
  std::vector<std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), expression), end; at != end; ++at) found.push_back((*at)[1]);
  return found;
}

Plot two_lines() {
  return {"speed", "tokens", "tokens/s", {{"with", {{0, 50}, {100, 100}}}, {"without", {{0, 50}, {50, 25}, {100, 0}}}}};
}

TEST(Plot, PointsLieBetweenTheAxes) {
  const std::string svg = to_svg(two_lines());
  const auto lines = matches(svg, "<polyline points=\"([^\"]*)\"");
  ASSERT_EQ(lines.size(), 2u);
  // 0 and 100 are the ends of both axes: left 72, right 696, top 48, bottom 332.
  EXPECT_EQ(lines[0], "72.0,190.0 696.0,48.0");
  EXPECT_EQ(lines[1], "72.0,190.0 384.0,261.0 696.0,332.0");
  EXPECT_EQ(matches(svg, "<circle cx=\"([^\"]*)\"").size(), 5u);
}

TEST(Plot, SaysWhatItShows) {
  const std::string svg = to_svg(two_lines());
  const auto texts = matches(svg, "<text [^>]*>([^<]*)</text>");
  for (const char* text : {"speed", "tokens", "tokens/s", "with", "without", "0", "100"}) {
    EXPECT_NE(std::find(texts.begin(), texts.end(), text), texts.end()) << text;
  }
  const auto colours = matches(svg, "<polyline [^>]*stroke=\"(#[0-9a-f]{6})\"");
  ASSERT_EQ(colours.size(), 2u);
  EXPECT_NE(colours[0], colours[1]);
}

TEST(Plot, IsClosedAndEscaped) {
  Plot plot = two_lines();
  plot.title = "a<b>&\"c\" \xE4\xBD\xA0\xFF\x01";
  const std::string svg = to_svg(plot);
  EXPECT_NE(svg.find("<title>a&lt;b&gt;&amp;&quot;c&quot; \xE4\xBD\xA0\xEF\xBF\xBD </title>"), std::string::npos)
      << svg;
  EXPECT_EQ(svg.rfind("<svg xmlns=\"http://www.w3.org/2000/svg\" ", 0), 0u);
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
  // Every tag is closed by itself or by its own name.
  std::vector<std::string> open;
  const std::regex tag("<(/?)([a-z]+)[^>]*?(/?)>");
  for (std::sregex_iterator at(svg.begin(), svg.end(), tag), end; at != end; ++at) {
    const std::smatch& match = *at;
    if (match[1].length() > 0) {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(open.back(), match[2]);
      open.pop_back();
    } else if (match[3].length() == 0) {
      open.push_back(match[2]);
    }
  }
  EXPECT_TRUE(open.empty());
}

TEST(Plot, RefusesWhatHasNoPicture) {
  EXPECT_THROW(to_svg({"", "", "", {}}), InternalError);
  EXPECT_THROW(to_svg({"", "", "", {{"empty", {}}}}), InternalError);
  EXPECT_THROW(to_svg({"", "", "", {{"negative", {{1, -1}}}}}), InternalError);
  EXPECT_THROW(to_svg({"", "", "", {{"infinite", {{1, INFINITY}}}}}), InternalError);
}

}  // namespace
}  // namespace duan::bench
