// Where tests find their data.
#pragma once

#include <filesystem>
#include <optional>

namespace duan::test {

std::filesystem::path source_dir();  // the repository
std::filesystem::path data_dir();    // tests/data

// The folder of reference data that is not in the repository (DUAN_REFERENCE_DIR), if it is there.
std::optional<std::filesystem::path> reference_dir();

std::filesystem::path duan_binary();  // the built program

// A fresh folder below the system's temporary folder, removed with its content at the end of its life.
class TemporaryDir {
 public:
  TemporaryDir();
  ~TemporaryDir();
  TemporaryDir(const TemporaryDir&) = delete;
  TemporaryDir& operator=(const TemporaryDir&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace duan::test

// For tests that need DUAN_REFERENCE_DIR: skips visibly where it is absent.
#define DUAN_NEEDS_REFERENCE() \
  if (!::duan::test::reference_dir()) GTEST_SKIP() << "set DUAN_REFERENCE_DIR to run this comparison"
