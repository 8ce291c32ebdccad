#include "text/ocr_cases.h"

#include <fmt/format.h>

#include "base/error.h"

namespace duan::text {

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

}  // namespace duan::text
