// Anonymous memory that costs nothing until it is touched.
#pragma once

#include <cstddef>
#include <cstdint>

namespace duan::engine {

// Page-aligned, zero-filled. Throws Error if the system refuses.
class ZeroedMemory {
 public:
  ZeroedMemory() = default;
  explicit ZeroedMemory(size_t bytes);
  ~ZeroedMemory();
  ZeroedMemory(ZeroedMemory&& other) noexcept;
  ZeroedMemory& operator=(ZeroedMemory&& other) noexcept;

  std::byte* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

int64_t physical_memory();  // bytes of RAM, or the control group's limit if that is lower
int64_t peak_resident();    // bytes, the process's highest so far

}  // namespace duan::engine
