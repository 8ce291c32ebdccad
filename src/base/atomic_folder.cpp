#include "base/atomic_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <random>

#include "base/error.h"

namespace duan {
namespace {
namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path& target, const char* what, int error) {
  throw Error(fmt::format("{}: {}", what, std::strerror(error)), target.string());
}

std::string partial_prefix(const fs::path& target) { return fmt::format(".{}.partial-", target.filename().string()); }

// The folder locked, or -1 if somebody else holds it (or it is no folder).
int open_locked(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd >= 0 && ::flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  if (fd >= 0) ::close(fd);
  return -1;
}

void remove_stale_siblings(const fs::path& target) {
  const std::string prefix = partial_prefix(target);
  std::error_code error;
  for (fs::directory_iterator it(target.parent_path(), error), end; !error && it != end; it.increment(error)) {
    if (!it->path().filename().string().starts_with(prefix)) continue;
    const int fd = open_locked(it->path());
    if (fd < 0) continue;
    std::error_code ignored;
    fs::remove_all(it->path(), ignored);
    ::close(fd);
  }
}

}  // namespace

AtomicFolder::AtomicFolder(const fs::path& target, bool replace) {
  std::error_code error;
  target_ = fs::weakly_canonical(fs::absolute(target), error);
  if (error) fail(target, "cannot be looked up", error.value());
  if (!target_.has_filename()) target_ = target_.parent_path();
  if (target_ == target_.root_path()) throw Error("is not the name of a folder to write", target.string());
  const fs::file_status status = fs::status(target_, error);
  if (fs::exists(status) && !fs::is_directory(status)) throw Error("is there and is not a folder", target_.string());
  if (fs::is_directory(status) && !replace && !fs::is_empty(target_, error)) {
    throw Error("the folder is not empty", target_.string(), "choose another one, or say --overwrite to replace it");
  }
  fs::create_directories(target_.parent_path(), error);
  if (error) fail(target_.parent_path(), "cannot be created", error.value());
  remove_stale_siblings(target_);
  create();
}

void AtomicFolder::create() {
  std::random_device random;
  while (true) {
    temporary_ = target_.parent_path() / fmt::format("{}{:08x}{:08x}", partial_prefix(target_), random(), random());
    if (::mkdir(temporary_.c_str(), 0777) != 0) {
      if (errno == EEXIST) continue;
      fail(target_, "cannot be created", errno);
    }
    fd_ = open_locked(temporary_);
    // Between mkdir and flock another process may have taken it for stale and removed it.
    struct stat info {};
    if (fd_ >= 0 && ::fstat(fd_, &info) == 0 && info.st_nlink > 0) return;
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
}

AtomicFolder::~AtomicFolder() {
  if (fd_ < 0) return;
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
  ::close(fd_);
}

void AtomicFolder::commit() {
  DUAN_CHECK(fd_ >= 0, "second commit of {}", target_.string());
  if (::fsync(fd_) != 0 && errno == EIO) fail(target_, "cannot be written to disk", errno);
  // Onto nothing, or onto an empty folder.
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
    if (errno != ENOTEMPTY && errno != EEXIST) fail(target_, "cannot be renamed into place", errno);
    // The two change names at once: there is no moment without a folder of that name.
    if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE) != 0) {
      if (errno != EINVAL && errno != ENOSYS) fail(target_, "cannot be renamed into place", errno);
      const fs::path old = temporary_.string() + "-old";
      if (::rename(target_.c_str(), old.c_str()) != 0) fail(target_, "the old folder cannot be moved aside", errno);
      if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
        const int error = errno;
        ::rename(old.c_str(), target_.c_str());
        fail(target_, "cannot be renamed into place", error);
      }
      temporary_ = old;
    }
    std::error_code ignored;
    fs::remove_all(temporary_, ignored);  // what stood there before
  }
  ::close(fd_);
  fd_ = -1;
  const int parent = ::open(target_.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (parent < 0) return;
  const bool failed = ::fsync(parent) != 0 && errno == EIO;
  ::close(parent);
  if (failed) fail(target_, "its parent cannot be written to disk", EIO);
}

}  // namespace duan
