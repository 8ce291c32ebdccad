#include "bench/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "base/svg.h"

namespace duan::bench {
namespace {

// All in the units of the view box, which are pixels where nobody scales the picture.
constexpr double kWidth = 720, kHeight = 420;
constexpr double kLeft = 72, kRight = 24, kTop = 48, kBottom = 88;  // margins around the axes
constexpr double kLegendY = kHeight - 16;
constexpr double kLegendColumn = 200, kLegendStroke = 28;

struct Style {
  const char *colour, *dashes;
};
// From the palette of Okabe and Ito, which colour-blind readers can tell apart.
constexpr std::array<Style, 4> kStyles = {Style{"#0072b2", "none"}, Style{"#d55e00", "7 4"}, Style{"#009e73", "2 3"},
                                          Style{"#cc79a7", "10 3 2 3"}};

std::string stroke_of(size_t series) {
  return fmt::format("fill=\"none\" stroke=\"{}\" stroke-width=\"2\" stroke-dasharray=\"{}\"", kStyles[series].colour,
                     kStyles[series].dashes);
}

}  // namespace

std::string to_svg(const Plot& plot) {
  DUAN_CHECK(!plot.series.empty() && plot.series.size() <= kStyles.size(), "{} series", plot.series.size());
  Point highest{0, 0};
  for (const Series& series : plot.series) {
    DUAN_CHECK(!series.points.empty(), "{} has no points", series.label);
    for (const Point& point : series.points) {
      DUAN_CHECK(std::isfinite(point.x) && std::isfinite(point.y) && point.x >= 0 && point.y >= 0, "a point is {}, {}",
                 point.x, point.y);
      highest = {std::max(highest.x, point.x), std::max(highest.y, point.y)};
    }
  }
  const std::vector<double> x_ticks = svg::ticks(highest.x), y_ticks = svg::ticks(highest.y);
  const double bottom = kHeight - kBottom, right = kWidth - kRight;
  const auto x_of = [&](double x) { return kLeft + x / x_ticks.back() * (right - kLeft); };
  const auto y_of = [&](double y) { return bottom - y / y_ticks.back() * (bottom - kTop); };

  std::string picture = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
      "font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n"
      "<title>{2}</title>\n<rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>\n",
      kWidth, kHeight, svg::escaped(plot.title));
  picture += svg::text(kLeft, kTop - 20, "start", plot.title, " font-size=\"15\" font-weight=\"bold\"");
  for (const double y : y_ticks) {
    picture += svg::line(kLeft, y_of(y), right, y_of(y), y == 0 ? "stroke=\"#222\"" : "stroke=\"#ddd\"");
    picture += svg::text(kLeft - 8, y_of(y) + 4, "end", fmt::format("{:.4g}", y));
  }
  for (const double x : x_ticks) {
    picture += svg::line(x_of(x), bottom, x_of(x), bottom + 5, "stroke=\"#222\"");
    picture += svg::text(x_of(x), bottom + 20, "middle", fmt::format("{:.6g}", x));
  }
  picture += svg::line(kLeft, kTop, kLeft, bottom, "stroke=\"#222\"");
  picture += svg::text((kLeft + right) / 2, bottom + 42, "middle", plot.x_label);
  const double middle = (kTop + bottom) / 2;
  picture += svg::text(20, middle, "middle", plot.y_label, fmt::format(" transform=\"rotate(-90 20 {:.1f})\"", middle));

  for (size_t i = 0; i < plot.series.size(); ++i) {
    const Series& series = plot.series[i];
    std::string points, dots;
    for (const Point& point : series.points) {
      points += fmt::format("{:.1f},{:.1f} ", x_of(point.x), y_of(point.y));
      dots += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n", x_of(point.x), y_of(point.y),
                          kStyles[i].colour);
    }
    points.pop_back();
    picture += fmt::format("<polyline points=\"{}\" {}/>\n", points, stroke_of(i)) + dots;
    const double legend = kLeft + kLegendColumn * static_cast<double>(i);
    picture += svg::line(legend, kLegendY - 4, legend + kLegendStroke, kLegendY - 4, stroke_of(i));
    picture += svg::text(legend + kLegendStroke + 8, kLegendY, "start", series.label);
  }
  return picture + "</svg>\n";
}

}  // namespace duan::bench
