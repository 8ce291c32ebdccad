#include "checkpoint/writer.h"

#include <gtest/gtest.h>

#include "checkpoint/safetensors.h"
#include "checkpoint/support.h"
#include "support/paths.h"

namespace duan::checkpoint {
namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST(Writer, WritesWhatTheReaderReads) {
  const duan::test::TemporaryDir folder;
  const auto file = folder.path() / "out.safetensors";
  const std::vector<TensorSpec> specs = {{"a \"quoted\" \xE7\xAB\xAF", DType::u8, {3}},
                                         {"empty", DType::f32, {0, 7}},
                                         {"scalar", DType::bf16, {}},
                                         {"b", DType::i32, {1, 2}}};
  const std::vector<std::string> data = {"xyz", "", "\x01\x02", "12345678"};
  write_safetensors(file, specs,
                    [&](size_t i, const ByteSink& sink) {
                      for (const char& c : data[i]) sink(std::as_bytes(std::span(&c, 1)));  // piece by piece
                    },
                    {{"format", "pt"}, {"note", "line\nbreak"}});

  const SafetensorsFile read(file);
  ASSERT_EQ(read.entries().size(), specs.size());
  for (size_t i = 0; i < specs.size(); ++i) {
    const auto view = read.find(specs[i].name);
    ASSERT_TRUE(view) << specs[i].name;
    EXPECT_EQ(view->dtype, specs[i].dtype);
    EXPECT_EQ(view->shape, specs[i].shape);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(view->data), view->bytes), data[i]);
  }
  EXPECT_EQ(read.metadata(),
            (std::vector<std::pair<std::string, std::string>>{{"format", "pt"}, {"note", "line\nbreak"}}));
  EXPECT_EQ((std::filesystem::file_size(file) - read.data_bytes()) % 8, 0u) << "the data begin at a multiple of 8";
}

TEST(Writer, WritesAFileWithoutTensors) {
  const duan::test::TemporaryDir folder;
  write_safetensors(folder.path() / "none.safetensors", {}, [](size_t, const ByteSink&) {});
  EXPECT_TRUE(SafetensorsFile(folder.path() / "none.safetensors").entries().empty());
}

TEST(Writer, RefusesWhatTheReaderWouldRefuse) {
  const duan::test::TemporaryDir folder;
  const auto what = [&](const std::vector<TensorSpec>& specs) {
    return test::error_of([&] {
      write_safetensors(folder.path() / "out", specs, [](size_t, const ByteSink& sink) { sink(bytes_of("1234")); });
    });
  };
  EXPECT_NE(what({{"a", DType::f32, {1}}, {"a", DType::f32, {1}}}).find("duplicate"), std::string::npos);
  EXPECT_NE(what({{"", DType::f32, {1}}}).find("empty name"), std::string::npos);
  EXPECT_NE(what({{"a", DType::f32, {1, 1, 1, 1, 1, 1, 1, 1, 1}}}).find("more than 8"), std::string::npos);
  EXPECT_NE(what({{"a", DType::f32, {int64_t{1} << 62, 4}}}).find("too many"), std::string::npos);
  EXPECT_NE(what({{"a", DType::f32, {-1}}}).find("too many"), std::string::npos);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Writer, LeavesNoFileWhenASourceGivesTheWrongSizeOrThrows) {
  const duan::test::TemporaryDir folder;
  const std::vector<TensorSpec> specs = {{"a", DType::f32, {2}}};
  EXPECT_THROW(
      write_safetensors(folder.path() / "out", specs, [](size_t, const ByteSink& sink) { sink(bytes_of("1234")); }),
      InternalError);
  EXPECT_THROW(write_safetensors(folder.path() / "out", specs, [](size_t, const ByteSink&) { throw Error("no data"); }),
               Error);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

}  // namespace
}  // namespace duan::checkpoint
