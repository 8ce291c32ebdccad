// A folder that appears under its name complete, or not at all.
#pragma once

#include <filesystem>

namespace duan {

// Files are written into path(), a hidden sibling ".<name>.partial-<random>" held under flock; commit() makes it
// durable and renames it to the target. Without commit() the sibling is removed with its content. Siblings left by dead
// processes are removed on opening. All functions throw Error naming the target and the system's reason.
class AtomicFolder {
 public:
  // Parents of the target are made. Throws Error if the target is a file, or a folder that is not empty and `replace`
  // is false. Whether a folder may be replaced is for the caller to decide: commit() removes all it holds.
  explicit AtomicFolder(const std::filesystem::path& target, bool replace = false);
  ~AtomicFolder();
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  const std::filesystem::path& target() const { return target_; }
  const std::filesystem::path& path() const { return temporary_; }

  void commit();  // once; the files in path() must be on disk already (AtomicFile does that)

 private:
  void create();

  std::filesystem::path target_, temporary_;
  int fd_ = -1;
};

}  // namespace duan
