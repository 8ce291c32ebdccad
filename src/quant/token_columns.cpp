#include "quant/token_columns.h"

#include <algorithm>
#include <type_traits>

#include "base/error.h"
#include "quant/parts.h"

namespace duan::quant {

TokenColumns::TokenColumns(int64_t width, DType dtype) : width_(width), dtype_(dtype) {
  DUAN_CHECK(dtype == DType::f32 || dtype == DType::bf16, "tokens in {}", dtype_name(dtype));
  const auto count = static_cast<size_t>(width * kTokenColumns);
  dtype == DType::f32 ? wide_.resize(count) : narrow_.resize(count);
}

template <typename T>
void TokenColumns::add_as(std::vector<T>& to, int64_t tokens, const float* x, std::span<const float> factors,
                          ThreadPool& pool) const {
  constexpr int64_t kSide = 16;  // of a tile: a cache line of each token
  for_parts(pool, width_, kSide, tokens * width_, [&](int64_t begin, int64_t end, int) {
    for (int64_t c = begin; c < end; c += kSide) {
      const int64_t channels = std::min(kSide, end - c);
      for (int64_t t = 0; t < tokens; ++t) {
        const float factor = factors.empty() ? 1.0f : factors[static_cast<size_t>(t)];
        T* out = to.data() + c * kTokenColumns + tokens_ + t;
        for (int64_t i = 0; i < channels; ++i) {
          const float value = x[t * width_ + c + i] * factor;
          if constexpr (std::is_same_v<T, float>) {
            out[i * kTokenColumns] = value;
          } else {
            out[i * kTokenColumns] = float_to_bf16(value);
          }
        }
      }
    }
  });
}

void TokenColumns::add(int64_t tokens, const float* x, std::span<const float> factors, ThreadPool& pool) {
  DUAN_CHECK(tokens <= room(), "{} tokens, room for {}", tokens, room());
  if (dtype_ == DType::f32) {
    add_as(wide_, tokens, x, factors, pool);
  } else {
    add_as(narrow_, tokens, x, factors, pool);
  }
  tokens_ += tokens;
}

void TokenColumns::fill_with_zeros() {
  for (int64_t c = 0; c < width_; ++c) {
    const int64_t at = c * kTokenColumns + tokens_;
    if (dtype_ == DType::f32) std::fill_n(wide_.begin() + at, room(), 0.0f);
    if (dtype_ == DType::bf16) std::fill_n(narrow_.begin() + at, room(), uint16_t{0});
  }
  tokens_ = kTokenColumns;
}

void TokenColumns::release() {
  wide_ = {};
  narrow_ = {};
}

const std::byte* TokenColumns::channel(int64_t index) const {
  const int64_t at = index * kTokenColumns;
  return dtype_ == DType::f32 ? reinterpret_cast<const std::byte*>(wide_.data() + at)
                              : reinterpret_cast<const std::byte*>(narrow_.data() + at);
}

}  // namespace duan::quant
