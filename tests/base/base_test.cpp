#include <gtest/gtest.h>

#include <atomic>

#include "base/error.h"
#include "base/json.h"
#include "base/thread_pool.h"
#include "base/utf8.h"

namespace duan {
namespace {

TEST(Json, RefusesDuplicateKeysAndDepth) {
  EXPECT_THROW(parse_json(R"({"a":1,"a":2})", "x"), Error);
  EXPECT_THROW(parse_json(std::string(100, '[') + std::string(100, ']'), "x"), Error);
  EXPECT_THROW(parse_json("{\"a\":", "x"), Error);
  EXPECT_EQ(to_text(parse_json(R"({"b":[1,{"z":null}],"a":1.5})", "x")), R"({"b":[1,{"z":null}],"a":1.5})");
}

TEST(Json, TypedAccessNamesTheKey) {
  const Json json = parse_json(R"({"n":3000000000,"s":"x","neg":-1,"f":1.5})", "x");
  EXPECT_EQ(json_at<int64_t>(json, "n", "x"), 3000000000);
  EXPECT_THROW(json_at<int32_t>(json, "n", "x"), Error);
  EXPECT_THROW(json_at<uint64_t>(json, "neg", "x"), Error);
  EXPECT_THROW(json_at<int64_t>(json, "f", "x"), Error);
  try {
    json_at<int64_t>(json, "s", "config.json");
    FAIL();
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "config.json: \"s\" is \"x\", expected an integer");
  }
}

TEST(Utf8, AssemblesCharactersFromSingleBytes) {
  const std::string text = "a你🙂b";
  utf8::Assembler assembler;
  std::string out;
  for (const char c : text) {
    const std::string piece = assembler.push(std::string_view(&c, 1));
    EXPECT_TRUE(utf8::is_valid(piece));
    out += piece;
  }
  EXPECT_EQ(out + assembler.finish(), text);
  EXPECT_EQ(assembler.push("\xE4\xBD"), "");
  EXPECT_EQ(assembler.push("x"), "\xEF\xBF\xBDx");
  EXPECT_EQ(utf8::display_width(std::string_view("a你🙂e\u0301")), 6);
}

TEST(ThreadPool, RunsEveryIndexOnceManyTimes) {
  for (const int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    std::vector<int> counts(static_cast<size_t>(threads), 0);
    for (int i = 0; i < 2000; ++i) {
      pool.run([&](int index) { ++counts[static_cast<size_t>(index)]; });
    }
    for (const int count : counts) EXPECT_EQ(count, 2000);
  }
}

TEST(ThreadPool, SplitCoversWithoutOverlap) {
  for (const int64_t count : {0, 1, 5, 64, 1000}) {
    int64_t next = 0;
    for (int i = 0; i < 3; ++i) {
      const auto range = ThreadPool::split(count, 4, i, 3);
      EXPECT_EQ(range.first, next);
      next = range.last;
    }
    EXPECT_EQ(next, count);
  }
}

}  // namespace
}  // namespace duan
