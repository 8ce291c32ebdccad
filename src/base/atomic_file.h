// A file that appears under its name complete, or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace duan {

// Writes to a hidden sibling ".<name>.partial-<random>" held under flock; commit() makes it durable and renames it over
// the target. Without commit() the sibling is removed. Siblings left by dead processes are removed on opening.
// A large file goes to the disk as it is written and does not stay in the page cache.
// All functions throw Error naming the target and the system's reason.
class AtomicFile {
 public:
  // expected_bytes > 0 reserves the space, so that a full disk shows before the work (where the file system can).
  explicit AtomicFile(const std::filesystem::path& target, uint64_t expected_bytes = 0);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  uint64_t written() const { return written_; }

  void commit();  // once

 private:
  void create();
  void send_window();
  void close_and_remove() noexcept;

  std::filesystem::path target_, temporary_;
  int fd_ = -1;
  uint64_t written_ = 0, sent_ = 0, on_disk_ = 0;  // bytes from the start: on_disk_ <= sent_ <= written_
};

// The whole content at once.
void write_file_atomically(const std::filesystem::path& target, std::string_view content);

}  // namespace duan
