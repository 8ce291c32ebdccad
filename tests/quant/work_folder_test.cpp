#include "quant/work_folder.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "support/paths.h"

namespace duan::quant {
namespace {

namespace fs = std::filesystem;

const Json kIdentity = {{"recipe", {{"alpha", 0.5}, {"keep", {"a"}}}}};

void finish(WorkFolder& work, const HiddenStates* hidden) {
  const auto number = static_cast<float>(work.finished());
  work.finish_block(
      [&] {
        return Json{{"number", number}};
      },
      {{"t", DType::f32, {1}}},
      [&](size_t, const checkpoint::ByteSink& sink) { sink(std::as_bytes(std::span(&number, 1))); }, hidden);
}

std::string error_of(const fs::path& output, const Json& identity) {
  try {
    WorkFolder(output, identity, false);
  } catch (const Error& e) {
    return std::string(e.what()) + " | " + e.hint();
  }
  return "";
}

TEST(WorkFolder, GoesOnWhereItWas) {
  const test::TemporaryDir dir;
  const fs::path output = dir.path() / "out";
  const HiddenStates hidden{3, {1, 2, 3, 4, 5, 6}}, later{3, {7, 8, 9}};
  {
    WorkFolder work(output, kIdentity, false);
    EXPECT_EQ(work.finished(), 0u);
    finish(work, &hidden);
    finish(work, &later);
  }
  std::ofstream(dir.path() / "out.partial" / "block-2.json") << "half a block";
  WorkFolder work(output, kIdentity, false);
  EXPECT_EQ(work.finished(), 2u);
  EXPECT_EQ(work.hidden().width, 3);
  EXPECT_EQ(work.hidden().values, later.values);
  EXPECT_EQ(work.rounded_hidden().width, 0);
  EXPECT_FALSE(fs::exists(work.path() / "hidden-0.safetensors"));
  EXPECT_EQ(work.record(1).at("number"), 1.0);
  float number = 0;
  std::memcpy(&number, work.tensors(1)->find("t")->data, 4);
  EXPECT_EQ(number, 1);
  const HiddenStates rounded{3, {4, 5, 6}};
  work.finish_block([] { return Json::object(); }, {}, {}, &later, &rounded);
  work.settle();
  EXPECT_FALSE(work.tensors(2));
  EXPECT_EQ(work.hidden().values, later.values);
  EXPECT_EQ(work.rounded_hidden().values, (std::vector<float>{4, 5, 6}));
  work.set_committing(77);
  EXPECT_EQ(work.committing(), 77u);
  work.remove();
  EXPECT_FALSE(fs::exists(work.path()));
}

TEST(WorkFolder, TellsWhatWentWrongInTheBackground) {
  const test::TemporaryDir dir;
  const fs::path output = dir.path() / "out";
  const HiddenStates hidden{3, {1, 2, 3}};
  {
    WorkFolder work(output, kIdentity, false);
    fs::create_directories(work.path() / "hidden-0.safetensors" / "in the way");
    work.check();
    finish(work, &hidden);
    work.wait();
    EXPECT_THROW(work.check(), Error);
    work.settle();  // once
    work.check();
  }
  WorkFolder work(output, kIdentity, false);
  EXPECT_EQ(work.finished(), 0u);
}

TEST(WorkFolder, CountsOnNothingOnceItIsBeingRemoved) {
  const test::TemporaryDir dir;
  const fs::path output = dir.path() / "out";
  {
    WorkFolder work(output, kIdentity, false);
    finish(work, nullptr);
    work.set_committing(77);
    fs::create_directories(work.path() / "block-9" / "in the way");  // as a kill would, it leaves a part
    work.remove();
    EXPECT_FALSE(fs::exists(work.path() / "block-0.json"));
  }
  WorkFolder work(output, kIdentity, false);
  EXPECT_EQ(work.committing(), 77u);
  EXPECT_EQ(work.finished(), 0u);
}

TEST(WorkFolder, BelongsToOneRunAtATime) {
  const test::TemporaryDir dir;
  const WorkFolder work(dir.path() / "out", kIdentity, false);
  EXPECT_NE(error_of(dir.path() / "out" / "", kIdentity).find("another run is working"), std::string::npos);
}

TEST(WorkFolder, RefusesTheWorkOfOtherOptionsUnlessToldToRestart) {
  const test::TemporaryDir dir;
  const fs::path output = dir.path() / "out";
  {
    WorkFolder work(output, kIdentity, false);
    finish(work, nullptr);
  }
  Json other = kIdentity;
  other["recipe"]["alpha"] = 0.75;
  const std::string error = error_of(output, other);
  EXPECT_NE(error.find("alpha, 0.5 then and 0.75 now"), std::string::npos) << error;
  EXPECT_NE(error.find("--restart"), std::string::npos) << error;
  EXPECT_EQ(WorkFolder(output, kIdentity, false).finished(), 1u);  // still there
  EXPECT_EQ(WorkFolder(output, other, true).finished(), 0u);
  EXPECT_FALSE(fs::exists(WorkFolder::path_for(output) / "block-0.json"));
}

TEST(WorkFolder, RestartThrowsItsOwnWorkAwayToo) {
  const test::TemporaryDir dir;
  const fs::path output = dir.path() / "out";
  {
    WorkFolder work(output, kIdentity, false);
    finish(work, nullptr);
    EXPECT_GT(work.bytes(), fs::file_size(work.path() / "block-0.safetensors"));
  }
  EXPECT_EQ(WorkFolder(output, kIdentity, true).finished(), 0u);
  std::ofstream(WorkFolder::path_for(output) / "state.json") << "{\"identity\": ";
  const std::string error = error_of(output, kIdentity);
  EXPECT_NE(error.find("state.json"), std::string::npos) << error;
  EXPECT_NE(error.find("--restart"), std::string::npos) << error;
  EXPECT_EQ(WorkFolder(output, kIdentity, true).finished(), 0u);
  EXPECT_EQ(error_of(output, kIdentity), "");
}

TEST(WorkFolder, TouchesNothingItDidNotWrite) {
  const test::TemporaryDir dir;
  const fs::path folder = dir.path() / "out.partial";
  fs::create_directory(folder);
  std::ofstream(folder / "precious.txt") << "mine";
  EXPECT_NE(error_of(dir.path() / "out", kIdentity).find("precious.txt, which no run wrote"), std::string::npos);
  EXPECT_TRUE(fs::exists(folder / "precious.txt"));
  fs::rename(folder / "precious.txt", folder / ".env");
  EXPECT_NE(error_of(dir.path() / "out", kIdentity).find(".env, which no run wrote"), std::string::npos);
  fs::rename(folder / ".env", folder / ".block-0.json.partial-0123");  // what a kill leaves
  EXPECT_EQ(error_of(dir.path() / "out", kIdentity), "");
  std::ofstream(dir.path() / "file.partial") << "mine";
  EXPECT_NE(error_of(dir.path() / "file", kIdentity), "");
}

}  // namespace
}  // namespace duan::quant
