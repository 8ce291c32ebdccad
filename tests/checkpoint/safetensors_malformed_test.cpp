// Every malformed file is refused with one line that names the file and the cause.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/support.h"
#include "support/paths.h"

namespace duan::checkpoint {
namespace {

struct Case {
  const char* name;
  std::string header;
  size_t data_bytes;
  const char* cause;
};

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}
std::string one(const std::string& shape, const std::string& offsets, const std::string& dtype = "F32") {
  return "{" + entry("w", dtype, shape, offsets) + "}";
}
// An entry with the given text in place of its fields.
std::string fields(const std::string& text) { return "{\"w\":{" + text + "}}"; }

std::vector<Case> header_cases() {
  const std::string good = entry("a", "F32", "[1]", "[0,4]");
  return {
      // Not JSON, or not the JSON of a header.
      {"EmptyHeader", "", 0, "does not start with '{'"},
      {"LeadingSpace", " {}", 0, "does not start with '{'"},
      {"LeadingByteOrderMark", "\xEF\xBB\xBF{}", 0, "does not start with '{'"},
      {"TopLevelArray", "[]", 0, "does not start with '{'"},
      {"OnlyBrace", "{", 0, "unexpected end"},
      {"TextBehind", "{}x", 0, "after the header's closing brace"},
      {"SecondObject", "{}{}", 0, "after the header's closing brace"},
      {"NulPadding", std::string("{}\0\0", 4), 0, "after the header's closing brace"},
      {"TrailingComma", "{" + good + ",}", 4, "expected a string"},
      {"MissingColon", "{\"w\" {}}", 0, "expected ':'"},
      {"MissingComma", "{" + good + " " + entry("b", "F32", "[1]", "[4,8]") + "}", 8, "expected ','"},
      {"KeyIsNumber", "{1:{}}", 0, "expected a string"},
      {"SingleQuotes", "{'w':{}}", 0, "expected a string"},
      {"Comment", "{/**/}", 0, "expected a string"},
      {"StringWithoutEnd", "{\"w", 0, "without its end"},
      {"EscapeAtEnd", "{\"w\\", 0, "without its end"},
      {"ControlInName", "{" + entry("a\nb", "F32", "[1]", "[0,4]") + "}", 4, "control character"},
      {"UnknownEscape", "{\"\\x\":{}}", 0, "unknown escape"},
      {"ShortUnicodeEscape", "{\"\\u12\":{}}", 0, "four digits"},
      {"LoneHighSurrogate", "{\"\\ud800\":{}}", 0, "lone surrogate"},
      {"LoneLowSurrogate", "{\"\\udc00\":{}}", 0, "lone surrogate"},
      {"HighSurrogateTwice", "{\"\\ud800\\ud800\":{}}", 0, "lone surrogate"},
      {"InvalidUtf8Name", "{" + entry("\xC3\x28", "F32", "[1]", "[0,4]") + "}", 4, "not valid UTF-8"},
      {"OverlongUtf8Name", "{" + entry("\xC0\xAF", "F32", "[1]", "[0,4]") + "}", 4, "not valid UTF-8"},
      {"DeepNesting", "{\"w\":" + std::string(10000, '['), 0, "not an object"},
      // Names.
      {"EmptyName", "{" + entry("", "F32", "[1]", "[0,4]") + "}", 4, "empty name"},
      {"NulInName", "{" + entry("a\\u0000b", "F32", "[1]", "[0,4]") + "}", 4, "NUL"},
      {"NameOf513Bytes", "{" + entry(std::string(513, 'n'), "F32", "[1]", "[0,4]") + "}", 4, "at most 512"},
      {"DuplicateName", "{" + good + "," + entry("a", "F32", "[1]", "[4,8]") + "}", 8, "duplicate tensor name"},
      {"DuplicateNameOfEmptyTensors",
       "{" + entry("z", "F32", "[0]", "[0,0]") + "," + entry("z", "F32", "[0]", "[0,0]") + "}", 0,
       "duplicate tensor name"},
      {"DuplicateNameByEscape", "{" + good + "," + entry("\\u0061", "F32", "[1]", "[4,8]") + "}", 8,
       "duplicate tensor name"},
      {"DuplicateEntry", "{" + good + "," + good + "}", 4, "duplicate tensor name"},
      // Fields.
      {"EntryIsNull", "{\"w\":null}", 0, "not an object"},
      {"EntryIsString", "{\"w\":\"F32\"}", 0, "not an object"},
      {"EmptyEntry", fields(""), 0, "\"dtype\" is missing"},
      {"NoDtype", fields("\"shape\":[1],\"data_offsets\":[0,4]"), 4, "\"dtype\" is missing"},
      {"NoShape", fields("\"dtype\":\"F32\",\"data_offsets\":[0,4]"), 4, "\"shape\" is missing"},
      {"NoOffsets", fields("\"dtype\":\"F32\",\"shape\":[1]"), 4, "\"data_offsets\" is missing"},
      {"UnknownField", fields("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"scale\":1"), 4,
       "unknown field"},
      {"DuplicateDtype", fields("\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]"), 4,
       "duplicate field"},
      {"DuplicateShape", fields("\"dtype\":\"F32\",\"shape\":[1],\"shape\":[1],\"data_offsets\":[0,4]"), 4,
       "duplicate field"},
      {"DuplicateOffsets", fields("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"data_offsets\":[0,4]"), 4,
       "duplicate field"},
      {"DtypeIsNumber", fields("\"dtype\":4,\"shape\":[1],\"data_offsets\":[0,4]"), 4, "dtype is not a string"},
      {"UnknownDtype", one("[1]", "[0,4]", "F33"), 4, "dtype \"F33\""},
      {"UnsupportedDtype", one("[1]", "[0,8]", "F64"), 8, "dtype \"F64\""},
      {"LowercaseDtype", one("[1]", "[0,4]", "f32"), 4, "dtype \"f32\""},
      // Shapes.
      {"ShapeIsNumber", one("1", "[0,4]"), 4, "shape is not a list"},
      {"ShapeIsObject", one("{}", "[0,4]"), 4, "shape is not a list"},
      {"NegativeExtent", one("[-1]", "[0,4]"), 4, "not a non-negative integer"},
      {"FractionalExtent", one("[1.0]", "[0,4]"), 4, "not a non-negative integer"},
      {"ExponentExtent", one("[1e0]", "[0,4]"), 4, "not a non-negative integer"},
      {"StringExtent", one("[\"1\"]", "[0,4]"), 4, "not a non-negative integer"},
      {"NullExtent", one("[null]", "[0,4]"), 4, "not a non-negative integer"},
      {"NestedShape", one("[[1]]", "[0,4]"), 4, "not a non-negative integer"},
      {"LeadingZeroExtent", one("[01]", "[0,4]"), 4, "not a non-negative integer"},
      {"ExtentOf2To63", one("[9223372036854775808]", "[0,4]"), 4, "2^63"},
      {"ExtentOf2To64", one("[18446744073709551616]", "[0,0]"), 0, "2^63"},
      {"ManyDigits", one("[" + std::string(1000, '9') + "]", "[0,4]"), 4, "2^63"},
      {"ProductWrapsToZero", one("[4294967296,4294967296]", "[0,0]"), 0, "overflow"},
      {"ProductWrapsToFour", one("[4611686018427387905,4]", "[0,16]"), 16, "overflow"},
      {"BytesWrap", one("[4611686018427387904]", "[0,0]"), 0, "overflow"},
      {"OverflowBesideZero", one("[9223372036854775807,2,0]", "[0,0]"), 0, "overflow"},
      {"NineDimensions", one("[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4, "more than 8 dimensions"},
      // Offsets.
      {"OffsetsAreNumber", one("[1]", "4"), 4, "data_offsets is not a list"},
      {"OneOffset", one("[1]", "[0]"), 4, "expected two"},
      {"NoOffset", one("[1]", "[]"), 4, "expected two"},
      {"ThreeOffsets", one("[1]", "[0,4,8]"), 4, "more than two"},
      {"NegativeOffset", one("[1]", "[-4,0]"), 4, "not a non-negative integer"},
      {"OffsetsReversed", one("[1]", "[4,0]"), 4, "end before they begin"},
      {"SpanTooShort", one("[2]", "[0,4]"), 4, "needs 8"},
      {"SpanTooLong", one("[1]", "[0,8]"), 8, "needs 4"},
      {"ScalarWithoutData", one("[]", "[0,0]"), 0, "needs 4"},
      {"ZeroDimWithData", one("[0,4]", "[0,4]"), 4, "needs 0"},
      {"EndAtMaximum", one("[1]", "[9223372036854775803,9223372036854775807]"), 4, "hole"},
      {"BeyondTheFile", one("[4]", "[0,16]"), 12, "cut short"},
      {"TrailingData", one("[1]", "[0,4]"), 5, "trailing"},
      {"DataWithoutTensors", "{}", 1, "trailing"},
      {"HoleAtTheStart", one("[1]", "[4,8]"), 8, "hole"},
      {"HoleBetween", "{" + good + "," + entry("b", "F32", "[1]", "[8,12]") + "}", 12, "hole"},
      {"SameData", "{" + good + "," + entry("b", "F32", "[1]", "[0,4]") + "}", 4, "overlap"},
      {"PartialOverlap", "{" + entry("a", "F32", "[2]", "[0,8]") + "," + entry("b", "F32", "[2]", "[4,12]") + "}", 12,
       "overlap"},
      {"EmptyTensorInside", "{" + entry("a", "F32", "[2]", "[0,8]") + "," + entry("b", "F32", "[0]", "[4,4]") + "}", 8,
       "overlap"},
      // Metadata.
      {"MetadataIsList", "{\"__metadata__\":[]}", 0, "not an object of strings"},
      {"MetadataIsNope", "{\"__metadata__\":nope}", 0, "expected null"},
      {"MetadataOfNumbers", "{\"__metadata__\":{\"n\":1}}", 0, "not a string"},
      {"MetadataNested", "{\"__metadata__\":{\"n\":{}}}", 0, "not a string"},
      {"MetadataTwice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "duplicate \"__metadata__\""},
      {"MetadataKeyTwice", "{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0, "duplicate key"},
  };
}

TEST(SafetensorsMalformed, RefusesEveryHeaderOfTheTable) {
  const duan::test::TemporaryDir folder;
  const auto file = folder.path() / "bad.safetensors";
  for (const Case& c : header_cases()) {
    test::write_bytes(file, test::safetensors_bytes(c.header, c.data_bytes));
    const std::string what = test::error_of([&] { SafetensorsFile{file}; });
    EXPECT_TRUE(test::is_good_message(what, file.string(), c.cause)) << c.name << ": " << what;
  }
  EXPECT_GE(header_cases().size(), 60u);
}

TEST(SafetensorsMalformed, RefusesEveryBrokenLength) {
  struct LengthCase {
    const char* name;
    std::string bytes;
    const char* cause;
  };
  const std::string whole = test::safetensors_bytes(one("[1]", "[0,4]"), 4);
  const auto with_length = [&](uint64_t length) {
    std::string bytes = whole;
    for (int i = 0; i < 8; ++i) bytes[static_cast<size_t>(i)] = static_cast<char>(length >> (8 * i) & 0xFF);
    return bytes;
  };
  const std::vector<LengthCase> cases = {
      {"EmptyFile", "", "too short"},
      {"SevenBytes", std::string(7, '\0'), "too short"},
      {"LengthZero", with_length(0), "does not start with '{'"},
      {"LengthOfAll", with_length(whole.size()), "cut short"},
      {"LengthOneBeyond", with_length(whole.size() - 7), "cut short"},
      {"LengthAtLimit", with_length(100'000'000), "cut short"},
      {"LengthBeyondLimit", with_length(100'000'001), "at most 100000000"},
      {"LengthOf2To63", with_length(uint64_t{1} << 63), "at most 100000000"},
      {"LengthOf2To64Less1", with_length(~uint64_t{0}), "at most 100000000"},
      {"LengthThatWraps", with_length(~uint64_t{0} - 7), "at most 100000000"},
      {"AnotherFormat", "GGUF\x03" + std::string(100, '\0'), "not a safetensors file"},
      {"Text", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "at most 100000000"},
  };
  const duan::test::TemporaryDir folder;
  const auto file = folder.path() / "bad.safetensors";
  for (const LengthCase& c : cases) {
    test::write_bytes(file, c.bytes);
    const std::string what = test::error_of([&] { SafetensorsFile{file}; });
    EXPECT_TRUE(test::is_good_message(what, file.string(), c.cause)) << c.name << ": " << what;
  }
}

TEST(SafetensorsMalformed, RefusesAFileCutAtAnyByte) {
  const std::string header = "{\"__metadata__\":{\"format\":\"pt\"}," + entry("a\\u00e9", "BF16", "[2,3]", "[0,12]") +
                             "," + entry("b", "I64", "[1]", "[12,20]") + "}  ";
  const std::string whole = test::safetensors_bytes(header, 20);
  const std::span<const std::byte> bytes = std::as_bytes(std::span(whole));
  ASSERT_EQ(parse_safetensors_header(bytes, bytes.size(), "whole").entries.size(), 2u);
  for (size_t cut = 0; cut < whole.size(); ++cut) {
    // A copy of exactly `cut` bytes, so that AddressSanitizer sees a read behind them.
    const std::vector<std::byte> start(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(cut));
    const std::string what = test::error_of([&] { parse_safetensors_header(start, cut, "cut.safetensors"); });
    EXPECT_TRUE(test::is_good_message(what, "cut.safetensors", "short")) << cut << ": " << what;
  }
}

TEST(SafetensorsMalformed, RefusesAHeaderCutAtAnyByte) {
  const std::string header =
      "{\"__metadata__\":{\"f\":\"\\ud83d\\ude00\"}," + entry("a", "F16", "[0,3]", "[0,0]") + "}";
  for (size_t cut = 0; cut < header.size(); ++cut) {
    const std::string bytes = test::safetensors_bytes(header.substr(0, cut), 0);
    EXPECT_NE(test::error_of([&] { parse_safetensors_header(std::as_bytes(std::span(bytes)), bytes.size(), "f"); }), "")
        << cut;
  }
}

// Flips each byte of the header to several values: an Error or a valid file, never anything else.
TEST(SafetensorsMalformed, SurvivesEveryChangedByte) {
  const std::string whole = test::safetensors_bytes(
      "{" + entry("a", "F32", "[2,1]", "[0,8]") + "," + entry("b", "I8", "[3]", "[8,11]") + "}", 11);
  int valid = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(value);
      const std::string what =
          test::error_of([&] { parse_safetensors_header(std::as_bytes(std::span(bytes)), bytes.size(), "f"); });
      valid += what.empty();
      EXPECT_EQ(what.find('\n'), std::string::npos);
    }
  }
  EXPECT_GT(valid, 11 * 256);  // the data may be anything
}

struct IndexCase {
  const char* name;
  std::string index;
  const char* cause;
};

TEST(IndexMalformed, RefusesEveryIndexOfTheTable) {
  const std::string map = "{\"weight_map\":";
  const std::vector<IndexCase> cases = {
      {"NotJson", "{", "not valid JSON"},
      {"Empty", "", "not valid JSON"},
      {"List", "[]", "weight_map"},
      {"NoMap", "{\"metadata\":{}}", "weight_map"},
      {"MapIsNull", map + "null}", "weight_map"},
      {"MapIsList", map + "[]}", "weight_map"},
      {"EmptyMap", map + "{}}", "empty"},
      {"ShardIsNumber", map + "{\"a\":1}}", "not a string"},
      {"ShardIsEmpty", map + "{\"a\":\"\"}}", "plain name"},
      {"ParentFolder", map + "{\"a\":\"../s1.safetensors\"}}", "plain name"},
      {"Absolute", map + "{\"a\":\"/etc/s1.safetensors\"}}", "plain name"},
      {"Subfolder", map + "{\"a\":\"x/s1.safetensors\"}}", "plain name"},
      {"Backslash", map + "{\"a\":\"..\\\\s1.safetensors\"}}", "plain name"},
      {"NulInShard", map + "{\"a\":\"s1.safetensors\\u0000.safetensors\"}}", "plain name"},
      {"Hidden", map + "{\"a\":\".s1.safetensors\"}}", "plain name"},
      {"Pickle", map + "{\"a\":\"pytorch_model.bin\"}}", "plain name"},
      {"LongName", map + "{\"a\":\"" + std::string(300, 's') + ".safetensors\"}}", "plain name"},
      {"MissingShard", map + "{\"a\":\"s1.safetensors\",\"c\":\"s9.safetensors\"}}", "\"s9.safetensors\" is missing"},
      {"TensorNotInShard", map + "{\"nowhere\":\"s1.safetensors\"}}", "not in shard"},
      {"TensorInOtherShard", map + "{\"a\":\"s2.safetensors\"}}", "not in shard"},
      {"TensorTwiceInMap", map + "{\"a\":\"s1.safetensors\",\"a\":\"s1.safetensors\"}}", "duplicate key"},
      {"TensorInTwoShards", map + "{\"a\":\"s1.safetensors\",\"b\":\"s3.safetensors\"}}", "two shards"},
      {"MetadataAsTensor", map + "{\"__metadata__\":\"s1.safetensors\"}}", "not in shard"},
      {"TooDeep", map + std::string(100, '['), "deeper"},
  };
  const duan::test::TemporaryDir folder;
  test::write_bytes(folder.path() / "s1.safetensors",
                    test::safetensors_bytes("{" + entry("a", "F32", "[1]", "[0,4]") + "}", 4));
  test::write_bytes(folder.path() / "s2.safetensors",
                    test::safetensors_bytes("{" + entry("b", "F32", "[1]", "[0,4]") + "}", 4));
  test::write_bytes(folder.path() / "s3.safetensors",
                    test::safetensors_bytes(
                        "{" + entry("a", "F32", "[1]", "[0,4]") + "," + entry("b", "F32", "[1]", "[4,8]") + "}", 8));
  const auto index = folder.path() / "model.safetensors.index.json";
  for (const IndexCase& c : cases) {
    test::write_bytes(index, c.index);
    const std::string what = test::error_of([&] { Checkpoint::open(folder.path()); });
    EXPECT_TRUE(test::is_good_message(what, index.string(), c.cause)) << c.name << ": " << what;
  }
}

}  // namespace
}  // namespace duan::checkpoint
