// A file mapped read-only into memory.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace duan {

class MappedFile {
 public:
  // Throws Error if the file is missing, not regular, or cannot be mapped. An empty file maps to an empty span.
  explicit MappedFile(const std::filesystem::path& file);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

  // Takes the whole pages of `part` out of this process's memory; they come back from the file when read again. False
  // if `part` is not of this file.
  bool release(std::span<const std::byte> part) const;

 private:
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace duan
