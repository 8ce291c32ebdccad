#include "cli/lines.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace duan::cli {
namespace {

TEST(Base64, DecodesEveryLengthOfTheLastGroup) {
  EXPECT_EQ(decode_base64(""), "");
  EXPECT_EQ(decode_base64("YQ=="), "a");
  EXPECT_EQ(decode_base64("YWI="), "ab");
  EXPECT_EQ(decode_base64("YWJj"), "abc");
  EXPECT_EQ(decode_base64("YWJjAP/+"), std::string("abc\0\xFF\xFE", 6));
}

TEST(Base64, RefusesWhatIsNone) {
  for (const char* wrong : {"Y", "YQ", "YQ=", "Y===", "=QQQ", "YQ==YQ==", "Y Q=", "YQ-_", "Y=Q="}) {
    EXPECT_THROW(decode_base64(wrong), Error) << wrong;
  }
}

TEST(Ids, AreAListOfIntegers) {
  EXPECT_EQ(ids_of(Json{1, 2}, "ids"), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(ids_of(Json::array(), "ids"), std::vector<int64_t>{});
  EXPECT_THROW(ids_of(Json{{"a", 1}}, "ids"), Error);
  EXPECT_THROW(ids_of(Json{1, 2.5}, "ids"), Error);
  EXPECT_THROW(ids_of(Json(1), "ids"), Error);
}

}  // namespace
}  // namespace duan::cli
