// What a scaling of channels does to the layers that read them, from the Gram matrix of what they read: the search of
// awq.h without running anything.
//
// A candidate costs rows * width^2 multiplications, half as many as there are rows in the sample; those of all weights
// would cost as much as a forward pass of as many tokens as a matrix has columns.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "quant/gram.h"
#include "quant/rounding.h"
#include "quant/source_matrix.h"

namespace duan::quant {

// Rows of all consumers together that a candidate is tried on.
inline constexpr int64_t kTrialRows = 128;

// Memory: the sample's rows, and while a loss is computed 64 rows more.
class GramTrial {
 public:
  // `gram` is of what the consumers read and must outlive it. About `rows` of their rows, one from each of as many
  // equal stretches of all; 0: all rows.
  GramTrial(const Gram& gram, std::span<const SourceMatrix> consumers, const WeightRounding& rounding, int64_t rows,
            ThreadPool& pool);

  // The mean square, over all tokens and the rows of the sample, of what rounding changes in the outputs: w becomes
  // Q(w * s) / s as in AwqTrial::loss. Rows are not looked at any more when the result is known to exceed `limit`; it
  // is then a number above it. The same for any number of threads.
  double loss(std::span<const float> scales, double limit);

 private:
  const Gram& gram_;
  WeightRounding rounding_;
  ThreadPool& pool_;
  std::vector<float> rows_;  // [rows of the sample, width]
};

}  // namespace duan::quant
