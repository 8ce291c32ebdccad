#include "base/svg.h"

#include <fmt/format.h>

#include <cmath>

#include "base/error.h"
#include "base/utf8.h"

namespace duan::svg {

std::string escaped(std::string_view text) {
  std::string out;
  const std::string valid = utf8::replace_invalid(text);
  for (size_t i = 0; i < valid.size(); ++i) {
    const char c = valid[i];
    const bool no_character = valid.compare(i, 2, "\xEF\xBF") == 0 && i + 2 < valid.size() &&
                              static_cast<unsigned char>(valid[i + 2]) >= 0xBE;  // U+FFFE, U+FFFF: not in XML
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (c == '\'') {
      out += "&#39;";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += ' ';  // XML has no way to write most of them
    } else if (no_character) {
      out += "\xEF\xBF\xBD";
      i += 2;
    } else {
      out += c;
    }
  }
  return out;
}

std::string text(double x, double y, const char* anchor, std::string_view content, std::string_view more) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y, anchor, more,
                     escaped(content));
}

std::string line(double x1, double y1, double x2, double y2, std::string_view stroke) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" {}/>\n", x1, y1, x2, y2, stroke);
}

std::vector<double> ticks(double highest) {
  DUAN_CHECK(std::isfinite(highest) && highest > 0, "an axis up to {}", highest);
  // highest / power is 10 to 100.
  const double power = std::pow(10, std::floor(std::log10(highest)) - 1);
  double step = 20 * power;
  for (const double factor : {10.0, 5.0, 2.0}) {
    if (highest <= 8 * factor * power) step = factor * power;
  }
  std::vector<double> values = {0};
  while (values.back() < highest) values.push_back(static_cast<double>(values.size()) * step);
  return values;
}

}  // namespace duan::svg
