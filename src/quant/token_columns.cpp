#include "quant/token_columns.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/free_memory.h"
#include "kernels/linear.h"
#include "kernels/linear_int8.h"
#include "quant/parts.h"

namespace duan::quant {
namespace {

constexpr int64_t kSide = 16;  // of a tile that is transposed: a cache line of each token

typedef float Four __attribute__((vector_size(16)));
// to[channel][token] = from[token][channel], side by side.
void transpose(const float (&from)[kSide][kSide], float (&to)[kSide][kSide]) {
  for (int64_t t = 0; t < kSide; t += 4) {
    for (int64_t c = 0; c < kSide; c += 4) {
      Four rows[4];
      for (int i = 0; i < 4; ++i) std::memcpy(&rows[i], &from[t + i][c], sizeof rows[i]);
      const Four a = __builtin_shufflevector(rows[0], rows[1], 0, 4, 1, 5),
                 b = __builtin_shufflevector(rows[2], rows[3], 0, 4, 1, 5),
                 p = __builtin_shufflevector(rows[0], rows[1], 2, 6, 3, 7),
                 q = __builtin_shufflevector(rows[2], rows[3], 2, 6, 3, 7);
      const Four columns[4] = {__builtin_shufflevector(a, b, 0, 1, 4, 5), __builtin_shufflevector(a, b, 2, 3, 6, 7),
                               __builtin_shufflevector(p, q, 0, 1, 4, 5), __builtin_shufflevector(p, q, 2, 3, 6, 7)};
      for (int i = 0; i < 4; ++i) std::memcpy(&to[c + i][t], &columns[i], sizeof columns[i]);
    }
  }
}

}  // namespace

TokenColumns::TokenColumns(int64_t width, DType dtype)
    : width_(width), depth_(dtype == DType::i8 ? 2048 : 512), stride_(depth_), dtype_(dtype) {
  DUAN_CHECK(dtype == DType::f32 || dtype == DType::i8, "tokens in {}", dtype_name(dtype));
  if (dtype == DType::i8) {
    int8_ = &kernels::select_linear_int8();
    stride_ += kSide;  // channels whose distance is a power of two would evict each other from the L1 cache
    codes_.resize(static_cast<size_t>(width * depth_));
    scales_.resize(static_cast<size_t>(width));
  }
  numbers_.resize(static_cast<size_t>(width * stride_));
}

void TokenColumns::add(int64_t tokens, const float* x, std::span<const float> factors, ThreadPool& pool) {
  DUAN_CHECK(tokens <= room(), "{} tokens, room for {}", tokens, room());
  for_parts(pool, width_, kSide, tokens * width_, [&](int64_t begin, int64_t end, int) {
    float tile[kSide][kSide] = {}, turned[kSide][kSide];
    for (int64_t c = begin; c < end; c += kSide) {
      const int64_t channels = std::min(kSide, end - c);
      for (int64_t first = 0; first < tokens; first += kSide) {
        const int64_t count = std::min(kSide, tokens - first);
        for (int64_t t = 0; t < count; ++t) {
          const float factor = factors.empty() ? 1.0f : factors[static_cast<size_t>(first + t)];
          const float* from = x + (first + t) * width_ + c;
          for (int64_t i = 0; i < channels; ++i) tile[t][i] = from[i] * factor;
        }
        transpose(tile, turned);
        float* out = numbers_.data() + c * stride_ + tokens_ + first;
        for (int64_t i = 0; i < channels; ++i) std::copy_n(turned[i], count, out + i * stride_);
      }
    }
  });
  tokens_ += tokens;
}

void TokenColumns::settle(ThreadPool& pool) {
  for (int64_t c = 0; c < width_; ++c) std::fill_n(numbers_.begin() + c * stride_ + tokens_, room(), 0.0f);
  tokens_ = depth_;
  if (dtype_ != DType::i8) return;
  for_parts(pool, width_, kSide, width_ * depth_, [&](int64_t begin, int64_t end, int) {
    int8_->round_input({.x = numbers_.data() + begin * stride_,
                        .x_stride = stride_,
                        .rows = end - begin,
                        .k = depth_,
                        .scheme = {InputRounding::dynamic},
                        .codes = codes_.data() + begin * depth_,
                        .scales = scales_.data() + begin});
  });
}

void TokenColumns::release() {
  free_memory(numbers_);
  free_memory(codes_);
  free_memory(scales_);
}

void add_products(const TokenColumns& a, int64_t first, int64_t rows, const TokenColumns& b, int64_t begin, int64_t end,
                  float* y, int64_t y_stride) {
  DUAN_CHECK(a.dtype_ == b.dtype_ && a.room() == 0 && b.room() == 0, "{} and {} tokens wait", a.tokens_, b.tokens_);
  if (a.dtype_ == DType::i8) {
    a.int8_->run({.x = a.codes_.data() + first * a.depth_,
                  .x_scales = a.scales_.data() + first,
                  .x_zero_point = 0,
                  .w = reinterpret_cast<const std::byte*>(b.codes_.data()),
                  .w_scales = b.scales_.data(),
                  .bias = nullptr,
                  .y = y,
                  .y_stride = y_stride,
                  .rows = rows,
                  .first = begin,
                  .last = end,
                  .k = a.depth_,
                  .accumulate = true});
    return;
  }
  kernels::select_linear(DType::f32, DType::f32)
      .run({.x = a.numbers_.data() + first * a.depth_,
            .x_dtype = DType::f32,
            .x_stride = a.depth_,
            .w = reinterpret_cast<const std::byte*>(b.numbers_.data()),
            .w_dtype = DType::f32,
            .bias = nullptr,
            .y = y,
            .y_stride = y_stride,
            .rows = rows,
            .first = begin,
            .last = end,
            .k = a.depth_,
            .accumulate = true});
}

}  // namespace duan::quant
