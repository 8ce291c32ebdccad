// Tokens that wait to be multiplied with one another: transposed, so that a sum over tokens is a matrix product.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "tensor/dtype.h"

namespace duan::quant {

// Tokens that are added up at once. Each such sum starts from 0, which also keeps the error of long sums small.
inline constexpr int64_t kTokenColumns = 512;

// [width, kTokenColumns] of f32, or of bf16, to which tokens are rounded as they come. Memory: 2 KB or 1 KB a channel.
class TokenColumns {
 public:
  TokenColumns(int64_t width, DType dtype);

  DType dtype() const { return dtype_; }
  int64_t room() const { return kTokenColumns - tokens_; }  // for so many more tokens
  // x[tokens, width], tokens <= room(), each multiplied by its factor if there are any.
  void add(int64_t tokens, const float* x, std::span<const float> factors, ThreadPool& pool);
  void fill_with_zeros();  // the room that is left
  void clear() { tokens_ = 0; }
  void release();  // the memory

  // The tokens of a channel and of those that follow it.
  const std::byte* channel(int64_t index) const;

 private:
  template <typename T>
  void add_as(std::vector<T>& to, int64_t tokens, const float* x, std::span<const float> factors,
              ThreadPool& pool) const;

  int64_t width_, tokens_ = 0;
  DType dtype_;
  std::vector<float> wide_;  // one of the two is in use
  std::vector<uint16_t> narrow_;
};

}  // namespace duan::quant
