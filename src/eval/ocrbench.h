// OCRBench (v1): whether a prediction holds an answer.
#pragma once

#include <string>
#include <string_view>

#include "text/ocr_cases.h"

namespace duan::eval {

// The rule of the published scores: lower case, stripped, line breaks as spaces; a hit if an answer is a part of the
// prediction. Of the set HME100k (formulas) the case counts and spaces do not. An empty prediction is no hit.
bool ocr_hit(const text::OcrCase& c, std::string_view prediction);

// A type's group in the five that are reported; the type itself where it is not one of OCRBench's.
std::string ocr_group(const std::string& type);

}  // namespace duan::eval
