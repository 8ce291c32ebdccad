// What pictures and pages of numbers are written with: escaped text, lines and round ticks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace duan::svg {

// Text as XML (SVG, HTML) holds it between tags and in quoted attributes. Control characters become spaces, what is not
// UTF-8 is replaced: every string comes out well-formed.
std::string escaped(std::string_view text);

// <text> at (x, y), in units of the view box; `anchor` is start, middle or end, `more` further attributes.
std::string text(double x, double y, const char* anchor, std::string_view content, std::string_view more = "");

// <line>; `stroke` are its attributes.
std::string line(double x1, double y1, double x2, double y2, std::string_view stroke);

// 0, step, 2 step, ... up to the first that is not below `highest` (> 0); steps are 1, 2 or 5 times a power of ten and
// there are four to nine values.
std::vector<double> ticks(double highest);

}  // namespace duan::svg
