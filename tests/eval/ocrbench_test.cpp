#include "eval/ocrbench.h"

#include <gtest/gtest.h>

namespace duan::eval {
namespace {

text::OcrCase of(const std::string& dataset, std::vector<std::string> answers) {
  return {dataset, "Regular Text Recognition", "what is written?", "a.png", std::move(answers)};
}

TEST(OcrBench, AHitIsAnAnswerWithinThePrediction) {
  const text::OcrCase c = of("IIIT5K", {"CENTRE", "Zentrum am\nMarkt"});
  EXPECT_TRUE(ocr_hit(c, "The centre."));
  EXPECT_TRUE(ocr_hit(c, " zentrum AM\nmarkt \n"));
  EXPECT_FALSE(ocr_hit(c, "cent re"));
  EXPECT_FALSE(ocr_hit(c, "  \n"));
  EXPECT_FALSE(ocr_hit(of("IIIT5K", {""}), ""));
  EXPECT_TRUE(ocr_hit(of("x", {"ÄÖ"}), "äö")) << "the case of all letters is folded";
  EXPECT_TRUE(ocr_hit(of("x", {"图中"}), "图中有字"));
}

TEST(OcrBench, OfFormulasTheCaseCountsAndSpacesDoNot) {
  const text::OcrCase c = of("HME100k", {"x ^ { 2 } + Y"});
  EXPECT_TRUE(ocr_hit(c, "x^{2}\n+ Y"));
  EXPECT_FALSE(ocr_hit(c, "X^{2}+Y"));
}

TEST(OcrBench, TypesBelongToGroups) {
  for (const char* type : {"Regular Text Recognition", "Irregular Text Recognition", "Artistic Text Recognition",
                           "Handwriting Recognition", "Digit String Recognition", "Non-Semantic Text Recognition"}) {
    EXPECT_EQ(ocr_group(type), "Text Recognition") << type;
  }
  EXPECT_EQ(ocr_group("Doc-oriented VQA"), "Doc-oriented VQA");
}

}  // namespace
}  // namespace duan::eval
