// What linear layers read, as far as linear layers tell it apart: G = sum of x x^T over tokens x. What a change D of a
// weight [out, in] does to the layer's outputs is then known without running it: the sum of their squared changes over
// all those tokens is the trace of D G D^T.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "quant/token_columns.h"
#include "quant/triangle.h"

namespace duan::quant {

// The same bits for any number of threads and however tokens are cut into calls. Memory: 2 width^2 bytes, and what
// token_columns.h says while tokens are added.
class Gram {
 public:
  // What is multiplied is f32, or rounded to i8 first: G is then that of the rounded x. Sums are f32 either way.
  explicit Gram(int64_t width, DType products = DType::f32);

  // x[rows, width], finite. `weights`, a number >= 0 for each token, multiply x x^T; empty: each counts once.
  void add(int64_t rows, const float* x, ThreadPool& pool, std::span<const float> weights = {});
  // After the last token, before anything is asked.
  void finish(ThreadPool& pool);

  int64_t width() const { return sums_.size(); }
  double count() const { return count_; }  // of tokens, each counted as often as its weight says
  // G_ij = G_ji.
  float at(int64_t i, int64_t j) const { return i < j ? sums_.row(j)[i] : sums_.row(i)[j]; }
  bool is_finite() const;  // false where squares overflowed

  // out[r] = x_r G x_r^T for x[rows, width].
  void quadratic(int64_t rows, const float* x, std::span<double> out, ThreadPool& pool) const;

 private:
  void add_waiting(ThreadPool& pool);

  Triangle<float> sums_;
  TokenColumns waiting_;  // tokens not in the sums yet
  double count_ = 0;
  bool is_finished_ = false;
};

}  // namespace duan::quant
