#include "base/json.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "base/error.h"
#include "support/paths.h"

namespace duan {
namespace {

std::string error_of(const std::function<void()>& function) {
  try {
    function();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(Json, KeepsTheOrderOfKeys) {
  EXPECT_EQ(to_text(parse_json(R"({"b":[1,{"z":null}],"a":1.5})", "x")), R"({"b":[1,{"z":null}],"a":1.5})");
}

TEST(Json, RefusesDuplicateKeysAtAnyDepth) {
  EXPECT_EQ(error_of([] { parse_json(R"({"a":1,"a":2})", "x"); }), "x: duplicate key \"a\"");
  EXPECT_EQ(error_of([] { parse_json(R"([{"b":{"a":1,"a":2}}])", "x"); }), "x: duplicate key \"a\"");
  EXPECT_EQ(error_of([] { parse_json(R"([{"a":1},{"a":2}])", "x"); }), "");
}

TEST(Json, RefusesDepthAndSizeBeyondTheLimits) {
  const std::string deep = std::string(65, '[') + std::string(65, ']');
  EXPECT_EQ(error_of([&] { parse_json(deep, "x"); }), "x: JSON nested deeper than 64 levels");
  EXPECT_EQ(error_of([&] { parse_json(deep, "x", {.max_bytes = 1000, .max_depth = 65}); }), "");
  EXPECT_EQ(error_of([] { parse_json("[1,2,3]", "x", {.max_bytes = 6, .max_depth = 4}); }),
            "x: JSON of 7 bytes, at most 6 are read");
}

TEST(Json, NamesLineAndColumnOfWhatIsNoJson) {
  EXPECT_NE(error_of([] { parse_json("{\n\"a\":", "x"); }).find("line 2, column 5"), std::string::npos);
  for (const char* text : {"", "nul", "{\"a\" 1}", "[1,]", "\"\xFF\"", "1 2", "1e999"}) {
    EXPECT_NE(error_of([&] { parse_json(text, "x"); }), "") << text;
  }
}

TEST(Json, TypedAccessNamesTheKey) {
  const Json json = parse_json(R"({"n":3000000000,"s":"x","neg":-1,"f":1.5,"t":true,"big":18446744073709551615})", "x");
  EXPECT_EQ(json_at<int64_t>(json, "n", "x"), 3000000000);
  EXPECT_EQ(json_at<uint64_t>(json, "big", "x"), UINT64_MAX);
  EXPECT_EQ(json_at<double>(json, "neg", "x"), -1.0);
  EXPECT_TRUE(json_at<bool>(json, "t", "x"));
  EXPECT_THROW(json_at<int32_t>(json, "n", "x"), Error);
  EXPECT_THROW(json_at<int64_t>(json, "big", "x"), Error);
  EXPECT_THROW(json_at<uint64_t>(json, "neg", "x"), Error);
  EXPECT_THROW(json_at<int64_t>(json, "f", "x"), Error);
  EXPECT_THROW(json_at<int64_t>(json, "t", "x"), Error);
  EXPECT_EQ(error_of([&] { json_at<int64_t>(json, "s", "config.json"); }),
            "config.json: \"s\" is \"x\", expected an integer");
  EXPECT_EQ(error_of([&] { json_at<bool>(json, "absent", "config.json"); }), "config.json: \"absent\" is missing");
}

TEST(Json, NullCountsAsAbsentWhereAFallbackIsGiven) {
  const Json json = parse_json(R"({"a":null,"b":2})", "x");
  EXPECT_EQ(json_or<int64_t>(json, "a", 7, "x"), 7);
  EXPECT_EQ(json_or<int64_t>(json, "b", 7, "x"), 2);
  EXPECT_EQ(json_or<int64_t>(json, "c", 7, "x"), 7);
  EXPECT_THROW(json_or<std::string>(json, "b", "", "x"), Error);
}

TEST(Json, WritesInvalidUtf8AsReplacementCharacters) { EXPECT_EQ(to_text(Json("a\xFF")), "\"a\xEF\xBF\xBD\""); }

TEST(Json, ReadsFilesUpToALimit) {
  const test::TemporaryDir folder;
  const auto file = folder.path() / "a.json";
  std::ofstream(file) << "[1, 2]";
  EXPECT_EQ(to_text(read_json(file)), "[1,2]");
  EXPECT_THROW(read_json(file, {.max_bytes = 5, .max_depth = 4}), Error);
  EXPECT_NE(error_of([&] { read_json(folder.path() / "b.json"); }).find("b.json: no such file"), std::string::npos);
  EXPECT_NE(error_of([&] { read_file(folder.path()); }).find("is a folder"), std::string::npos);
}

}  // namespace
}  // namespace duan
