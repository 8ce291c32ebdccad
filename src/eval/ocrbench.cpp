#include "eval/ocrbench.h"

#include <algorithm>

#include "text/jinja_text.h"

namespace duan::eval {
namespace {

using text::jinja::Side;

std::string stripped(std::string_view text) {
  return text::jinja::replace(text::jinja::strip(text, std::nullopt, Side::Both), "\n", " ", -1);
}

// As the rule compares predictions and answers.
std::string folded(const text::OcrCase& c, std::string_view text) {
  if (c.dataset == "HME100k") return text::jinja::replace(stripped(text), " ", "", -1);
  return stripped(text::jinja::lower(text));
}

}  // namespace

bool ocr_hit(const text::OcrCase& c, std::string_view prediction) {
  const std::string said = folded(c, prediction);
  if (said.empty()) return false;
  return std::any_of(c.answers.begin(), c.answers.end(),
                     [&](const std::string& answer) { return said.find(folded(c, answer)) != said.npos; });
}

std::string ocr_group(const std::string& type) {
  if (type.ends_with("Text Recognition") || type == "Handwriting Recognition" || type == "Digit String Recognition" ||
      type == "Non-Semantic Text Recognition") {
    return "Text Recognition";
  }
  return type;
}

}  // namespace duan::eval
