// Tokens that wait to be multiplied with one another: transposed, so that a sum over tokens is a matrix product.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "kernels/linear_int8.h"
#include "tensor/dtype.h"

namespace duan::quant {

// [width, depth] of f32, or of i8, to which tokens are rounded when all are there: the tokens of a channel share a
// scale then, as those of a row that kernels round (kernels/linear_int8.h). Memory for a channel: 2 KB (f32), 10 KB
// (i8).
class TokenColumns {
 public:
  // Throws Error if DUAN_KERNEL asks for an int8 kernel that does not fit.
  TokenColumns(int64_t width, DType dtype);

  // Tokens that are added up at once. Each such sum starts from 0, which also keeps the error of long sums small.
  int64_t depth() const { return depth_; }
  int64_t room() const { return depth_ - tokens_; }  // for so many more tokens
  // x[tokens, width], tokens <= room(), each multiplied by its factor if there are any.
  void add(int64_t tokens, const float* x, std::span<const float> factors, ThreadPool& pool);
  // After the last token, before they are multiplied: the room that is left gets zeros, and tokens their dtype.
  void settle(ThreadPool& pool);
  void clear() { tokens_ = 0; }
  void release();  // the memory

  // y[i * y_stride + j] += the sum over tokens of channel first + i of a and channel j of b, for `rows` of i and j in
  // [begin, end). Both are settled and of one dtype.
  friend void add_products(const TokenColumns& a, int64_t first, int64_t rows, const TokenColumns& b, int64_t begin,
                           int64_t end, float* y, int64_t y_stride);

 private:
  int64_t width_, depth_, stride_, tokens_ = 0;  // stride_: from channel to channel before tokens are settled
  DType dtype_;
  const kernels::LinearInt8Kernel* int8_ = nullptr;  // if they become i8
  std::vector<float> numbers_;                       // [width, stride]
  std::vector<int8_t> codes_;                        // [width, depth]
  std::vector<float> scales_;                        // of each channel's codes
};

}  // namespace duan::quant
