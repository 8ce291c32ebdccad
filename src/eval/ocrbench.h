// OCRBench (v1): questions about text in pictures, and whether a prediction holds an answer.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "eval/statistics.h"

namespace duan::eval {

struct OcrCase {
  std::string dataset, type, question;
  std::filesystem::path image;       // beside the file, if it was relative
  std::vector<std::string> answers;  // at least one
};

// The cases of OCRBench.json: a list of {"dataset_name", "id", "image_path", "question", "answers" (a string or a
// list), "type"}. Throws Error naming the case and the key. Whether the pictures are there is not looked at.
std::vector<OcrCase> read_ocr_cases(const Json& list, const std::filesystem::path& file);

// The rule of the published scores: lower case, stripped, line breaks as spaces; a hit if an answer is a part of the
// prediction. Of the set HME100k (formulas) the case counts and spaces do not. An empty prediction is no hit.
bool ocr_hit(const OcrCase& c, std::string_view prediction);

// A type's group in the five that are reported; the type itself where it is not one of OCRBench's.
std::string ocr_group(const std::string& type);

// The 95 % interval of a share of `hits` in `count` > 0, by Wilson's score.
Interval share_interval(int64_t hits, int64_t count);

}  // namespace duan::eval
