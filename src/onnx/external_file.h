// Files that an ONNX model names: which of them it may have.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace duan::onnx {

// A file that was opened and looked at; remembers which it was.
class ExternalFile {
 public:
  // `location` must be the name of a regular file in `folder`: no path, no link of either kind. Throws Error.
  ExternalFile(const std::filesystem::path& folder, std::string_view location);

  const std::filesystem::path& path() const { return path_; }
  int64_t bytes() const { return bytes_; }
  bool changed() const;  // is there another file, or another state of it, under this name by now?

 private:
  static bool same(const struct stat& a, const struct stat& b);

  std::filesystem::path path_;
  struct stat state_ {};
  int64_t bytes_ = 0;
};

}  // namespace duan::onnx
