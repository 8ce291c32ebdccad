// Questions about text in pictures, in the format of OCRBench.json.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"

namespace duan::text {

struct OcrCase {
  std::string dataset, type, question;
  std::filesystem::path image;       // beside the file, if it was relative
  std::vector<std::string> answers;  // at least one
};

// The cases of OCRBench.json: a list of {"dataset_name", "id", "image_path", "question", "answers" (a string or a
// list), "type"}. Throws Error naming the case and the key. Whether the pictures are there is not looked at.
std::vector<OcrCase> read_ocr_cases(const Json& list, const std::filesystem::path& file);

}  // namespace duan::text
