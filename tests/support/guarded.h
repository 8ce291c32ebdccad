// Arrays that end (or begin) at a page nobody may touch. Sanitizers miss masked stores and gathers past an array; pages
// do not.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <new>
#include <span>

namespace duan::test {

enum class Guard { after, before };

template <class T>
class Guarded {
 public:
  explicit Guarded(size_t count, Guard guard = Guard::after) : count_(count) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), bytes = count * sizeof(T);
    mapped_ = (bytes + page - 1) / page * page + page;
    void* base = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<std::byte*>(base);
    std::byte* const forbidden = guard == Guard::after ? base_ + mapped_ - page : base_;
    mprotect(forbidden, page, PROT_NONE);
    data_ = guard == Guard::after ? forbidden - bytes : base_ + page;
  }
  ~Guarded() { munmap(base_, mapped_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  T* data() { return reinterpret_cast<T*>(data_); }
  const T* data() const { return reinterpret_cast<const T*>(data_); }
  size_t size() const { return count_; }
  std::span<T> span() { return {data(), count_}; }
  T& operator[](size_t i) { return data()[i]; }
  const T& operator[](size_t i) const { return data()[i]; }

 private:
  size_t count_, mapped_;
  std::byte* base_;
  std::byte* data_;
};

}  // namespace duan::test
