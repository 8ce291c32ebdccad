#include "quant/report_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "base/svg.h"

namespace duan::quant {
namespace {

// In units of the view box.
constexpr double kWidth = 960, kHeight = 300, kLeft = 60, kRight = 12, kTop = 34, kBottom = 40;
constexpr double kLabelWidth = 26;  // that the number of a layer needs

// "3" of "model.layers.3.mlp.down_proj"; "" if the name has no number.
std::string number_of(const std::string& layer) {
  for (size_t at = 0; at < layer.size();) {
    const size_t end = std::min(layer.find('.', at), layer.size());
    const std::string part = layer.substr(at, end - at);
    const bool is_number =
        !part.empty() && std::all_of(part.begin(), part.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
    if (is_number) return part;
    at = end + 1;
  }
  return "";
}

double drawn(double value) { return std::isfinite(value) && value > 0 ? value : 0; }

std::string dot(double x, double y, const char* kind) {
  return fmt::format("<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\"/>", kind, x, y);
}

}  // namespace

std::string layer_plot(const std::string& title, const std::vector<LayerMark>& marks) {
  if (marks.empty()) return "";
  double highest = 0;
  bool has_before = false;
  for (const LayerMark& mark : marks) {
    highest = std::max({highest, drawn(mark.value), drawn(mark.before.value_or(0))});
    has_before = has_before || mark.before.has_value();
  }
  const std::vector<double> values = svg::ticks(highest > 0 ? highest : 1);
  const double right = kWidth - kRight, bottom = kHeight - kBottom;
  const double step = (right - kLeft) / static_cast<double>(marks.size());
  const auto y_of = [&](double value) { return bottom - drawn(value) / values.back() * (bottom - kTop); };

  std::string out =
      fmt::format("<svg viewBox=\"0 0 {} {}\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\">\n<title>{}</title>\n",
                  kWidth, kHeight, svg::escaped(title));
  for (const double value : values) {
    const char* kind = value == 0 ? "class=\"axis\"" : "class=\"grid\"";
    out += svg::line(kLeft, y_of(value), right, y_of(value), kind);
    out += svg::text(kLeft - 8, y_of(value) + 4, "end", fmt::format("{:.4g} %", value));
  }
  std::string last_number;
  double last_label = -kLabelWidth;
  for (size_t i = 0; i < marks.size(); ++i) {
    const LayerMark& mark = marks[i];
    const double x = kLeft + (static_cast<double>(i) + 0.5) * step;
    if (const std::string number = number_of(mark.layer); number != last_number) {
      last_number = number;
      if (!number.empty() && x - last_label >= kLabelWidth) {
        out += svg::line(x, bottom, x, bottom + 5, "class=\"axis\"");
        out += svg::text(x, bottom + 18, "middle", number);
        last_label = x;
      }
    }
    const std::string before = mark.before ? fmt::format("{:.3f} % without smoothing, ", *mark.before) : "";
    out += fmt::format("<g class=\"mark\"><title>{}: {}{:.3f} %</title>", svg::escaped(mark.layer), before, mark.value);
    if (mark.before) {
      out += fmt::format("<line class=\"change\" x1=\"{0:.1f}\" y1=\"{1:.1f}\" x2=\"{0:.1f}\" y2=\"{2:.1f}\"/>", x,
                         y_of(*mark.before), y_of(mark.value));
      out += dot(x, y_of(*mark.before), "before");
    }
    out += dot(x, y_of(mark.value), "after") + "</g>\n";
  }
  out += svg::text((kLeft + right) / 2, kHeight - 4, "middle", "layer");
  // In the legend a dot is no mark.
  out += svg::text(kLeft, 18, "start", title, " class=\"title\"");
  if (has_before) {
    out += dot(right - 250, 14, "before") + svg::text(right - 240, 18, "start", "without smoothing");
    out += dot(right - 90, 14, "after") + svg::text(right - 80, 18, "start", "as written");
  }
  return out + "</svg>\n";
}

}  // namespace duan::quant
