#include "base/mapped_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "base/error.h"
#include "support/paths.h"

namespace duan {
namespace {

TEST(MappedFile, ShowsTheBytesOfTheFile) {
  const test::TemporaryDir folder;
  std::ofstream(folder.path() / "a") << "hello";
  MappedFile file(folder.path() / "a");
  ASSERT_EQ(file.bytes().size(), 5u);
  EXPECT_EQ(std::memcmp(file.bytes().data(), "hello", 5), 0);

  const MappedFile moved = std::move(file);
  EXPECT_EQ(moved.bytes().size(), 5u);
}

TEST(MappedFile, MapsAnEmptyFileToAnEmptySpan) {
  const test::TemporaryDir folder;
  std::ofstream(folder.path() / "a").flush();
  EXPECT_TRUE(MappedFile(folder.path() / "a").bytes().empty());
}

TEST(MappedFile, RefusesWhatIsNoRegularFile) {
  const test::TemporaryDir folder;
  EXPECT_THROW(MappedFile(folder.path() / "absent"), Error);
  EXPECT_THROW(MappedFile{folder.path()}, Error);
  EXPECT_THROW(MappedFile("/dev/null"), Error);
}

}  // namespace
}  // namespace duan
