#include "onnx/external_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "base/error.h"

namespace duan::onnx {
namespace {

constexpr size_t kMaxLocationBytes = 255;  // what file systems take

void check_location(std::string_view location) {
  const std::string shown = printable(location);
  if (location.empty() || location.size() > kMaxLocationBytes) {
    throw Error(fmt::format("its location has {} bytes, expected 1 to {}", location.size(), kMaxLocationBytes));
  }
  if (location.find('\0') != location.npos) throw Error("its location \"" + shown + "\" holds a NUL");
  if (location.find_first_of("/\\") != location.npos || location == "." || location == "..") {
    throw Error("its location \"" + shown + "\" is not the name of a file beside the model");
  }
}

}  // namespace

ExternalFile::ExternalFile(const std::filesystem::path& folder, std::string_view location) {
  check_location(location);
  path_ = folder / location;
  // Without blocking: a name may be a pipe's.
  const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0 && errno == ELOOP) {
    throw Error("is a symbolic link, which a model's data may not be", path_.string(), "put the file itself there");
  }
  if (fd < 0) throw Error(std::strerror(errno), path_.string());
  const int failed = ::fstat(fd, &state_);
  ::close(fd);
  if (failed != 0 || !S_ISREG(state_.st_mode)) throw Error("is not a regular file", path_.string());
  if (state_.st_nlink != 1) {
    throw Error("has several names (hard links), which a model's data may not have", path_.string(),
                "put a copy there: cp FILE copy && mv copy FILE");
  }
  bytes_ = static_cast<int64_t>(state_.st_size);
}

bool ExternalFile::same(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size && a.st_mode == b.st_mode &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

bool ExternalFile::changed() const {
  struct stat now {};
  return ::lstat(path_.c_str(), &now) != 0 || !same(state_, now);
}

}  // namespace duan::onnx
