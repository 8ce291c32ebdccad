#include "quant/report_plot.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/xml.h"

namespace duan::quant {
namespace {

TEST(ReportPlot, HasAMarkForEachLayer) {
  std::vector<LayerMark> marks;
  for (int i = 0; i < 40; ++i) {
    marks.push_back({"model.layers." + std::to_string(i) + ".mlp.up_proj", 0.1 * i,
                     i % 2 == 0 ? std::optional(0.2 * i) : std::nullopt});
  }
  const test::Xml xml = test::parse_xml(layer_plot("errors", marks));
  EXPECT_EQ(xml.error, "");
  EXPECT_EQ(xml.count("g", "mark"), 40u);
  EXPECT_EQ(xml.count("circle", "after"), 40u + 1);  // and one in the legend
  EXPECT_EQ(xml.count("circle", "before"), 20u + 1);
  EXPECT_EQ(xml.count("line", "change"), 20u);
  EXPECT_TRUE(xml.has_text("title", "model.layers.2.mlp.up_proj: 0.400 % without smoothing, 0.200 %"));
  EXPECT_TRUE(xml.has_text("text", "39") || xml.has_text("text", "38"));
  EXPECT_TRUE(xml.has_text("text", "8 %"));  // above the largest, 7.6
}

TEST(ReportPlot, MarksLieBetweenTheAxes) {
  const test::Xml xml = test::parse_xml(layer_plot("", {{"a.0.x", 1, 4.0}, {"a.1.x", 0, std::nullopt}}));
  std::vector<std::pair<double, double>> dots;
  for (const auto& element : xml.elements) {
    if (element.name == "circle")
      dots.emplace_back(std::stod(element.attributes.at("cx")), std::stod(element.attributes.at("cy")));
  }
  // Left 60, right 948, bottom 260, top 34 is 4 %.
  using Dot = std::pair<double, double>;
  ASSERT_EQ(dots.size(), 5u);
  EXPECT_EQ(dots[0], (Dot{282, 34}));
  EXPECT_EQ(dots[1], (Dot{282, 203.5}));
  EXPECT_EQ(dots[2], (Dot{726, 260}));
}

TEST(ReportPlot, WithoutBeforeThereIsNoLegendAndWithoutMarksNothing) {
  EXPECT_EQ(layer_plot("x", {}), "");
  const test::Xml xml = test::parse_xml(layer_plot("x", {{"lm_head", 0, std::nullopt}}));
  EXPECT_EQ(xml.error, "");
  EXPECT_EQ(xml.count("circle"), 1u);
}

TEST(ReportPlot, NamesAndNumbersMayBeHostile) {
  const std::vector<LayerMark> marks = {{"</title><script>\x01&\"'\xFF", NAN, INFINITY}, {"..7..", -1, std::nullopt}};
  const test::Xml xml = test::parse_xml(layer_plot("<b>", marks));
  EXPECT_EQ(xml.error, "");
  EXPECT_EQ(xml.count("script"), 0u);
  EXPECT_EQ(xml.count("g", "mark"), 2u);
  EXPECT_TRUE(xml.has_text("text", "7"));
}

}  // namespace
}  // namespace duan::quant
