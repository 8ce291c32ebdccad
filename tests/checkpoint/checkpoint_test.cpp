#include "checkpoint/checkpoint.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/log.h"
#include "checkpoint/support.h"
#include "checkpoint/writer.h"
#include "support/paths.h"

namespace duan::checkpoint {
namespace {

namespace fs = std::filesystem;

// Each tensor filled with `fill`.
void write(const fs::path& file, const std::vector<TensorSpec>& specs, char fill = 0) {
  write_safetensors(file, specs, [&](size_t i, const ByteSink& sink) {
    const std::string data(static_cast<size_t>(*element_count(specs[i].shape)) * dtype_size(specs[i].dtype), fill);
    sink(std::as_bytes(std::span(data)));
  });
}

TEST(Checkpoint, ReadsASingleFile) {
  const duan::test::TemporaryDir folder;
  write(folder.path() / "model.safetensors", {{"w", DType::bf16, {2, 3}}, {"ids", DType::i64, {4}}});
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_TRUE(checkpoint.contains("w"));
  EXPECT_FALSE(checkpoint.contains("v"));
  EXPECT_EQ(checkpoint.total_bytes(), 12u + 32u);
  EXPECT_EQ(checkpoint.folder(), folder.path());
  const Weight weight = checkpoint.weight("w", {2, 3});
  EXPECT_EQ(weight.name, "w");
  EXPECT_EQ(std::get<Dense>(weight.format).dtype, DType::bf16);
  EXPECT_EQ(checkpoint.find("ids")->bytes, 32u);
  ASSERT_EQ(checkpoint.tensors().size(), 2u);
  EXPECT_EQ(checkpoint.tensors()[0].file, folder.path() / "model.safetensors");
}

TEST(Checkpoint, SaysWhatIsWrongWithAWeight) {
  const duan::test::TemporaryDir folder;
  const std::string file = (folder.path() / "model.safetensors").string();
  write(file, {{"w", DType::f32, {2, 3}}, {"ids", DType::i64, {4}}});
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  EXPECT_EQ(test::error_of([&] { checkpoint.weight("v", {2}); }),
            folder.path().string() + ": tensor \"v\" is missing; expected shape [2]");
  EXPECT_EQ(test::error_of([&] {
              checkpoint.weight("w", {3, 2});
            }),
            file + ": tensor \"w\" has shape [2, 3], expected [3, 2]");
  EXPECT_EQ(test::error_of([&] { checkpoint.weight("w", {6}); }),
            file + ": tensor \"w\" has shape [2, 3], expected [6]");
  EXPECT_EQ(test::error_of([&] { checkpoint.weight("ids", {4}); }),
            file + ": tensor \"ids\" has dtype I64, expected F32, F16 or BF16");
}

TEST(Checkpoint, ReadsShardsByTheirIndex) {
  const duan::test::TemporaryDir folder;
  write(folder.path() / "s1.safetensors", {{"a", DType::u8, {2}}}, 'a');
  write(folder.path() / "s2.safetensors", {{"b", DType::u8, {2}}, {"extra", DType::u8, {1}}}, 'b');
  test::write_bytes(folder.path() / "model.safetensors.index.json",
                    R"({"metadata":{"total_size":4},"weight_map":{"b":"s2.safetensors","a":"s1.safetensors"}})");
  std::vector<std::string> warnings;
  set_warning_sink([&](const std::string& line) { warnings.push_back(line); });
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  set_warning_sink(nullptr);

  EXPECT_EQ(*reinterpret_cast<const char*>(checkpoint.find("a")->data), 'a');
  EXPECT_EQ(*reinterpret_cast<const char*>(checkpoint.find("b")->data), 'b');
  EXPECT_FALSE(checkpoint.contains("extra")) << "not listed, so not part of the checkpoint";
  EXPECT_EQ(checkpoint.tensors().size(), 2u);
  EXPECT_EQ(checkpoint.total_bytes(), 4u);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("\"extra\""), std::string::npos);
}

TEST(Checkpoint, PrefersTheSingleFile) {
  const duan::test::TemporaryDir folder;
  write(folder.path() / "model.safetensors", {{"w", DType::f32, {1}}});
  test::write_bytes(folder.path() / "model.safetensors.index.json", "not even JSON");
  EXPECT_TRUE(Checkpoint::open(folder.path()).contains("w"));
}

TEST(Checkpoint, FollowsLinksAsHubCachesHaveThem) {
  const duan::test::TemporaryDir folder;
  fs::create_directory(folder.path() / "blobs");
  fs::create_directory(folder.path() / "snapshot");
  write(folder.path() / "blobs" / "0123", {{"w", DType::f32, {1}}});
  fs::create_symlink("../blobs/0123", folder.path() / "snapshot" / "model.safetensors");
  EXPECT_TRUE(Checkpoint::open(folder.path() / "snapshot").contains("w"));
}

TEST(Checkpoint, ViewsOutliveTheOriginalObject) {
  const duan::test::TemporaryDir folder;
  write(folder.path() / "model.safetensors", {{"w", DType::u8, {1}}}, 'x');
  auto first = std::make_unique<Checkpoint>(Checkpoint::open(folder.path()));
  const Checkpoint copy = *first;
  const TensorView view = *first->find("w");
  first.reset();
  EXPECT_EQ(*reinterpret_cast<const char*>(view.data), 'x');
}

TEST(Checkpoint, SaysWhatTheFolderLacks) {
  const duan::test::TemporaryDir folder;
  EXPECT_EQ(test::error_of([&] { Checkpoint::open(folder.path() / "nothing"); }),
            (folder.path() / "nothing").string() + ": is not a folder");
  EXPECT_NE(test::error_of([&] { Checkpoint::open(folder.path()); }).find("no weights"), std::string::npos);
  test::write_bytes(folder.path() / "pytorch_model.bin", "");
  try {
    Checkpoint::open(folder.path());
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(e.hint().find("never read"), std::string::npos);
  }
  fs::create_directory(folder.path() / "model.safetensors");
  EXPECT_NE(test::error_of([&] { Checkpoint::open(folder.path()); }).find("not a regular file"), std::string::npos);
}

}  // namespace
}  // namespace duan::checkpoint
