// A matrix of the source as floats, a few rows at a time, with what smoothing does to it.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "checkpoint/checkpoint.h"
#include "quant/rounding.h"

namespace duan::quant {

// Empty vectors leave a matrix as it is.
struct Adjustment {
  std::vector<float> row_divisors;    // [rows]: it makes a value whose channels are divided
  std::vector<float> column_factors;  // [columns]: it reads a value whose channels were divided

  bool empty() const { return row_divisors.empty() && column_factors.empty(); }
};

class SourceMatrix {
 public:
  // The checkpoint must outlive it. Throws Error if the weight is absent or of another shape.
  SourceMatrix(const checkpoint::Checkpoint& checkpoint, const std::string& weight, const Shape& shape);

  int64_t rows() const { return weight_.rows(); }
  int64_t columns() const { return weight_.columns(); }
  DType dtype() const { return dense().dtype; }
  const std::string& name() const { return weight_.name; }

  // Rows [first, first + count) into out[count, columns].
  void read(int64_t first, int64_t count, float* out) const;
  // The same, adjusted.
  void read(int64_t first, int64_t count, const Adjustment& adjustment, float* out) const;
  // Says that rows [first, first + count) will not be read again soon: see Checkpoint::release.
  void release(int64_t first, int64_t count) const;

  // Throws Error naming the tensor and the place of the first number that is not finite.
  void check_finite(ThreadPool& pool) const;

 private:
  const Dense& dense() const { return std::get<Dense>(weight_.format); }

  const checkpoint::Checkpoint& checkpoint_;
  Weight weight_;
};

// Rows that are worked on at once: a few megabytes.
int64_t rows_at_once(int64_t columns);

// Some rows of a matrix, rounded.
struct RoundedRows {
  int64_t first, count;
  std::span<const float> adjusted;  // [count, columns]
  std::span<RoundedRow> rows;       // [count]; other codes may be put there
};

// One row from each of `count` equal stretches of `all` rows, the index of the i-th: at a place of its own in the
// stretch, so that rows of heads, which have a length in common, come as often as they are.
int64_t spread_row(int64_t i, int64_t count, int64_t all);

// Rounds `count` rows of the matrix, spread over it, or all if it has no more: as for_each_rounded does, but `work`
// gets them at once, and as if they were a matrix.
void for_spread_rounded(const SourceMatrix& source, int64_t count, const WeightRounding& rounding,
                        std::span<const float> importance, ThreadPool& pool,
                        const std::function<void(const RoundedRows&)>& work);

// Rounds the adjusted matrix, front to back; rounding.scale_dtype decides what scales are stored in. Pages of the
// source leave memory behind it. The result does not depend on the number of threads. `importance`: see round_row; of
// the adjusted columns.
void for_each_rounded(const SourceMatrix& source, const Adjustment& adjustment, const WeightRounding& rounding,
                      std::span<const float> importance, ThreadPool& pool,
                      const std::function<void(const RoundedRows&)>& work);

}  // namespace duan::quant
