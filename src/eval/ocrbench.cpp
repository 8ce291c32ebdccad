#include "eval/ocrbench.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "text/jinja_text.h"

namespace duan::eval {
namespace {

using text::jinja::Side;

std::string stripped(std::string_view text) {
  return text::jinja::replace(text::jinja::strip(text, std::nullopt, Side::Both), "\n", " ", -1);
}

// As the rule compares predictions and answers.
std::string folded(const OcrCase& c, std::string_view text) {
  if (c.dataset == "HME100k") return text::jinja::replace(stripped(text), " ", "", -1);
  return stripped(text::jinja::lower(text));
}

}  // namespace

std::vector<OcrCase> read_ocr_cases(const Json& list, const std::filesystem::path& file) {
  if (!list.is_array() || list.empty()) {
    throw Error("is not a list of cases", file.string(), "the format is that of OCRBench.json");
  }
  std::vector<OcrCase> cases;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string where = fmt::format("{}: case {}", file.string(), i);
    const Json& entry = list[i];
    if (!entry.is_object()) throw Error("is not an object", where);
    OcrCase c;
    c.dataset = json_at<std::string>(entry, "dataset_name", where);
    c.type = json_at<std::string>(entry, "type", where);
    c.question = json_at<std::string>(entry, "question", where);
    c.image = file.parent_path() / json_at<std::string>(entry, "image_path", where);
    const Json answers = entry.value("answers", Json());
    for (const Json& answer : answers.is_array() ? answers : Json::array({answers})) {
      if (!answer.is_string()) throw Error("\"answers\" is neither a text nor a list of texts", where);
      c.answers.push_back(answer);
    }
    if (c.answers.empty()) throw Error("\"answers\" is empty", where);
    cases.push_back(std::move(c));
  }
  return cases;
}

bool ocr_hit(const OcrCase& c, std::string_view prediction) {
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

Interval share_interval(int64_t hits, int64_t count) {
  constexpr double z = 1.959963984540054;
  const auto n = static_cast<double>(count);
  const double share = static_cast<double>(hits) / n, middle = share + z * z / (2 * n);
  const double reach = z * std::sqrt(share * (1 - share) / n + z * z / (4 * n * n));
  return {(middle - reach) / (1 + z * z / n), (middle + reach) / (1 + z * z / n)};
}

}  // namespace duan::eval
