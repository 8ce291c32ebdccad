// Lines over two axes as a self-contained SVG.
#pragma once

#include <string>
#include <vector>

namespace duan::bench {

struct Point {
  double x, y;
};

struct Series {
  std::string label;
  std::vector<Point> points;  // ascending in x
};

struct Plot {
  std::string title, x_label, y_label;
  std::vector<Series> series;  // at most four: as many colours as can be told apart, by everybody and on paper
};

// Both axes begin at 0 and end at the tick above the largest value. Every series has a point, all values are finite
// and not negative, and neither axis has only zeros.
std::string to_svg(const Plot& plot);

}  // namespace duan::bench
