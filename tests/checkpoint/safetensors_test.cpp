#include "checkpoint/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>

#include "checkpoint/support.h"
#include "support/paths.h"

namespace duan::checkpoint {
namespace {

SafetensorsHeader parse(const std::string& header, size_t data_bytes) {
  const std::string bytes = test::safetensors_bytes(header, data_bytes);
  return parse_safetensors_header(std::as_bytes(std::span(bytes)), bytes.size(), "test");
}

TEST(Safetensors, ReadsEntriesInTheOrderOfTheirData) {
  const SafetensorsHeader h = parse(
      R"({"b":{"data_offsets":[4,10],"shape":[3,1],"dtype":"F16"},"__metadata__":{"format":"pt"},
          "a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}   )",
      10);
  ASSERT_EQ(h.entries.size(), 2u);
  EXPECT_EQ(h.entries[0].name, "a");
  EXPECT_EQ(h.entries[1].name, "b");
  EXPECT_EQ(h.entries[1].shape, (Shape{3, 1}));
  EXPECT_EQ(h.entries[1].begin, 4u);
  EXPECT_EQ(h.entries[1].end, 10u);
  EXPECT_EQ(h.metadata, (std::vector<std::pair<std::string, std::string>>{{"format", "pt"}}));
  EXPECT_EQ(h.index.find(h.entries, "b"), 1u);
  EXPECT_EQ(h.index.find(h.entries, "c"), std::nullopt);
}

TEST(Safetensors, AcceptsWhatTheReferenceReaderAccepts) {
  EXPECT_TRUE(parse("{}", 0).entries.empty());
  EXPECT_TRUE(parse(R"({"__metadata__":null})", 0).metadata.empty());
  EXPECT_TRUE(parse(R"({"__metadata__":{}} )"
                    "\n\r\t ",
                    0)
                  .metadata.empty());
  // Zero extents, scalars, tensors without data between others, extents at the limits.
  const SafetensorsHeader h = parse(R"({"s":{"dtype":"I64","shape":[],"data_offsets":[0,8]},
      "z":{"dtype":"F32","shape":[0,9223372036854775807],"data_offsets":[8,8]},
      "e":{"dtype":"BOOL","shape":[1,1,1,1,1,1,1,2],"data_offsets":[8,10]}})",
                                    10);
  EXPECT_EQ(h.entries.size(), 3u);
  // A path is no path here, and neither are escapes.
  EXPECT_EQ(
      parse(R"({"../\u00e9\ud83d\ude00\/\"":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0).entries[0].name,
      "../\xC3\xA9\xF0\x9F\x98\x80/\"");
  const std::string longest(kMaxNameBytes, 'n');
  EXPECT_EQ(parse("{\"" + longest + R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0).entries[0].name,
            longest);
}

TEST(Safetensors, ReadsEveryDtype) {
  for (const char* name : {"F32", "F16", "BF16", "I8", "U8", "I32", "I64", "BOOL"}) {
    const DType dtype = *dtype_from_name(name);
    const std::string size = std::to_string(2 * dtype_size(dtype));
    const SafetensorsHeader h =
        parse(std::string(R"({"w":{"dtype":")") + name + R"(","shape":[2],"data_offsets":[0,)" + size + "]}}",
              2 * dtype_size(dtype));
    EXPECT_EQ(h.entries[0].dtype, dtype);
  }
}

TEST(Safetensors, ReadsNoByteBehindTheHeader) {
  const std::string header = R"({"w":{"dtype":"F32","shape":[1000],"data_offsets":[0,4000]}})";
  const std::string bytes = test::safetensors_bytes(header, 0);
  EXPECT_EQ(parse_safetensors_header(std::as_bytes(std::span(bytes)), bytes.size() + 4000, "test").entries.size(), 1u);
}

TEST(Safetensors, GivesDataAtAnyAlignment) {
  const duan::test::TemporaryDir folder;
  std::string bytes = test::safetensors_bytes(
      R"({"odd":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})",
      5);
  const float value = 1.5f;
  std::memcpy(bytes.data() + bytes.size() - 4, &value, 4);
  test::write_bytes(folder.path() / "m", bytes);
  const SafetensorsFile file(folder.path() / "m");
  const auto view = file.find("w");
  ASSERT_TRUE(view);
  float read = 0;
  std::memcpy(&read, view->data, view->bytes);
  EXPECT_EQ(read, 1.5f);
  EXPECT_FALSE(file.find("missing"));
  EXPECT_FALSE(file.find("__metadata__"));
}

TEST(Safetensors, SaysWhichFileIsMissing) {
  EXPECT_EQ(test::error_of([] { SafetensorsFile{"/nonexistent/m.safetensors"}; }),
            "/nonexistent/m.safetensors: No such file or directory");
}

}  // namespace
}  // namespace duan::checkpoint
