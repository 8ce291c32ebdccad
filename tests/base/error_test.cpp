#include "base/error.h"

#include <gtest/gtest.h>

namespace duan {
namespace {

TEST(Error, SaysWhereAndWhatInOneLine) {
  const Error error("3 rows, expected 4", "model.safetensors", "choose another file");
  EXPECT_STREQ(error.what(), "model.safetensors: 3 rows, expected 4");
  EXPECT_EQ(error.message(), "3 rows, expected 4");
  EXPECT_EQ(error.hint(), "choose another file");
  EXPECT_STREQ(Error("is empty").what(), "is empty");
}

TEST(Error, LearnsItsPlaceOnce) {
  const Error error = Error("is empty", "", "fill it").at("a.json");
  EXPECT_STREQ(error.what(), "a.json: is empty");
  EXPECT_EQ(error.hint(), "fill it");
  EXPECT_EQ(error.at("b.json").where(), "a.json");
}

TEST(Error, ChecksThrowInternalErrorsWithPlaceAndCondition) {
  const int rows = 3;
  EXPECT_NO_THROW(DUAN_CHECK(rows == 3, "rows {}", rows));
  try {
    DUAN_CHECK(rows == 4, "rows {}", rows);
    FAIL();
  } catch (const InternalError& e) {
    const std::string what = e.what();
    EXPECT_NE(what.find("error_test.cpp"), std::string::npos);
    EXPECT_NE(what.find("rows == 4 does not hold: rows 3"), std::string::npos);
  }
}

TEST(Error, PrintableTextHasNoControlCharactersAndIsShort) {
  EXPECT_EQ(printable("a\x1B[2J\n\x7F"), "a\\x1b[2J\\x0a\\x7f");
  EXPECT_EQ(printable("\xFF"), "\xEF\xBF\xBD");
  EXPECT_EQ(printable("你好"), "你好");
  EXPECT_EQ(printable("abcdef", 3), "abc...");
}

}  // namespace
}  // namespace duan
