#include "base/atomic_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <string>

#include "base/error.h"

namespace duan {
namespace {

constexpr size_t kMaxWrite = size_t{1} << 20;  // between two looks at what is still to be sent to the disk
constexpr uint64_t kWindow = uint64_t{32} << 20;

[[noreturn]] void fail(const std::filesystem::path& target, const char* what, int error) {
  throw Error(fmt::format("{}: {}", what, std::strerror(error)), target.string());
}

std::string partial_prefix(const std::filesystem::path& target) {
  return fmt::format(".{}.partial-", target.filename().string());
}

std::filesystem::path folder_of(const std::filesystem::path& target) {
  return target.has_parent_path() ? target.parent_path() : std::filesystem::path(".");
}

// A sibling whose lock can be taken has no living writer.
void remove_stale_siblings(const std::filesystem::path& target) {
  const std::string prefix = partial_prefix(target);
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder_of(target), error), end; !error && it != end;
       it.increment(error)) {
    if (!it->path().filename().string().starts_with(prefix)) continue;
    const int fd = ::open(it->path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) continue;
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) ::unlink(it->path().c_str());
    ::close(fd);
  }
}

}  // namespace

AtomicFile::AtomicFile(const std::filesystem::path& target, uint64_t expected_bytes) : target_(target) {
  std::error_code ignored;
  if (target.filename().empty() || std::filesystem::is_directory(target, ignored)) {
    throw Error("is a folder, expected the name of a file to write", target.string());
  }
  remove_stale_siblings(target_);
  create();
  // Not posix_fallocate: where the file system cannot reserve, that writes the whole file twice.
  if (expected_bytes > 0 && ::fallocate(fd_, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(expected_bytes)) != 0 &&
      (errno == ENOSPC || errno == EFBIG || errno == EDQUOT)) {
    const int error = errno;
    close_and_remove();
    fail(target_, fmt::format("no room for {} bytes", expected_bytes).c_str(), error);
  }
}

void AtomicFile::create() {
  std::random_device random;
  while (true) {
    temporary_ = folder_of(target_) / fmt::format("{}{:08x}{:08x}", partial_prefix(target_), random(), random());
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ < 0 && errno == EEXIST) continue;
    if (fd_ < 0) fail(target_, "cannot be created", errno);
    while (::flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
    }
    // Between open and flock another process may have taken it for stale and removed it.
    struct stat info {};
    if (::fstat(fd_, &info) == 0 && info.st_nlink > 0) return;
    ::close(fd_);
    fd_ = -1;
  }
}

AtomicFile::~AtomicFile() { close_and_remove(); }

void AtomicFile::close_and_remove() noexcept {
  if (fd_ < 0) return;
  ::unlink(temporary_.c_str());
  ::close(fd_);
  fd_ = -1;
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  DUAN_CHECK(fd_ >= 0, "write to {} after its commit", target_.string());
  while (!bytes.empty()) {
    const ssize_t done = ::write(fd_, bytes.data(), std::min(bytes.size(), kMaxWrite));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) fail(target_, "cannot be written", done < 0 ? errno : EIO);
    written_ += static_cast<uint64_t>(done);
    bytes = bytes.subspan(static_cast<size_t>(done));
    if (written_ - sent_ >= kWindow) send_window();
  }
}

// Sends the last window to the disk, waits for the one before and gives its pages back. A checkpoint larger than memory
// would otherwise push everything else out of the page cache, the model it is made from first; and a commit would wait
// for gigabytes. Where the host of a virtual machine takes free memory back, new pages are also slow: 6.9 GB took 10 to
// 26 s without this and 4 s with it.
void AtomicFile::send_window() {
#ifdef __linux__
  const auto sync = [&](uint64_t begin, uint64_t end, unsigned int flags) {
    while (::sync_file_range(fd_, static_cast<off_t>(begin), static_cast<off_t>(end - begin), flags) != 0) {
      // A failed write shows here once and no more at fsync. Anything else is a file system without this call.
      if (errno == EIO || errno == ENOSPC || errno == EDQUOT) fail(target_, "cannot be written to disk", errno);
      if (errno != EINTR) return;
    }
  };
  sync(sent_, written_, SYNC_FILE_RANGE_WRITE);
  if (sent_ > on_disk_) {
    sync(on_disk_, sent_, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    ::posix_fadvise(fd_, static_cast<off_t>(on_disk_), static_cast<off_t>(sent_ - on_disk_), POSIX_FADV_DONTNEED);
  }
#endif
  on_disk_ = sent_;
  sent_ = written_;
}

void AtomicFile::commit() {
  DUAN_CHECK(fd_ >= 0, "second commit of {}", target_.string());
  // Gives back what was reserved beyond the end, and lets a delayed write error show before the rename.
  if (::ftruncate(fd_, static_cast<off_t>(written_)) != 0) fail(target_, "cannot be written", errno);
  if (::fsync(fd_) != 0) fail(target_, "cannot be written to disk", errno);
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail(target_, "cannot be renamed into place", errno);
  ::close(fd_);
  fd_ = -1;
  // Only now is the name durable. Some file systems cannot sync a folder; the rename itself stands.
  const int folder = ::open(folder_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  const bool failed = ::fsync(folder) != 0 && errno == EIO;
  ::close(folder);
  if (failed) fail(target_, "its folder cannot be written to disk", EIO);
}

void write_file_atomically(const std::filesystem::path& target, std::string_view content) {
  AtomicFile file(target, content.size());
  file.write(content);
  file.commit();
}

}  // namespace duan
