#include "text/ocr_cases.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace duan::text {
namespace {

TEST(OcrCases, AreReadOrRefusedByName) {
  const Json good = {{"dataset_name", "svt"}, {"id", 7},          {"image_path", "a/b.png"},
                     {"question", "what?"},   {"answers", "one"}, {"type", "Regular Text Recognition"},
                     {"unknown", {1, 2, "x"}}};
  const auto error_of = [](const Json& list) -> std::string {
    try {
      read_ocr_cases(list, "dir/cases.json");
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  const std::vector<OcrCase> cases = read_ocr_cases(Json::array({good}), "dir/cases.json");
  EXPECT_EQ(cases.at(0).image, "dir/a/b.png");
  EXPECT_EQ(cases.at(0).answers, std::vector<std::string>{"one"});

  EXPECT_NE(error_of(Json::array()).find("dir/cases.json"), std::string::npos);
  EXPECT_NE(error_of({{"a", 1}}).find("dir/cases.json"), std::string::npos);
  EXPECT_NE(error_of(Json::array({good, 3})).find("case 1"), std::string::npos);
  const Json wrong = {
      {"dataset_name", 3}, {"type", nullptr}, {"question", 1}, {"image_path", Json::array()}, {"answers", 5}};
  for (const auto& [key, value] : wrong.items()) {
    Json bad = good;
    bad[key] = value;
    EXPECT_NE(error_of(Json::array({good, bad})).find("case 1"), std::string::npos) << key;
    bad.erase(key);
    EXPECT_NE(error_of(Json::array({good, bad})).find(key), std::string::npos) << key;
  }
  Json empty = good;
  empty["answers"] = Json::array();
  EXPECT_NE(error_of(Json::array({empty})).find("\"answers\" is empty"), std::string::npos);
}

}  // namespace
}  // namespace duan::text
