// What rounding costs a linear layer, measured on inputs it was seen with.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "quant/recipe.h"
#include "quant/source_matrix.h"

namespace duan::quant {

// Relative to what the layer is without rounding: |W' - W| / |W| and |Y' - Y| / |Y|, Euclidean.
struct LinearError {
  double weight = 0;
  double output = 0;
};

// The step of static int8 codes for inputs in [-range, range], as it is stored: a number > 0 of dtype.
float input_scale(float range, DType dtype);

// What inputs that look like this are rounded in: [-range, range]; 0 unless the recipe fixes ranges.
float input_range(const Recipe& recipe, const AbsHistogram& histogram);

// How the recipe rounds inputs of a layer whose weight is of this dtype.
InputScheme input_scheme(const Recipe& recipe, float range, DType dtype);

// rows[n, channels] with each channel divided by its number; as they are if there are none.
std::vector<float> divided(std::span<const float> rows, std::span<const float> divisors);

// What the recipe's observer weighs errors of a matrix's columns by, if the channels it reads have these mean squares
// before they are divided; empty if it does not.
std::vector<float> column_importance(const Recipe& recipe, std::span<const float> mean_square,
                                     std::span<const float> divisors);

// rows[n, columns] as the numbers that the scheme's codes stand for.
std::vector<float> rounded_input(std::span<const float> rows, int64_t columns, const InputScheme& scheme);

class ErrorMeter {
 public:
  // The layer reads rows[n, columns] (of adjusted inputs); rounded, they are `rounded`. No rows: no output error.
  // Both must outlive the meter, like the adjustment of the matrix.
  ErrorMeter(std::span<const float> rows, std::span<const float> rounded, int64_t columns,
             const Adjustment& adjustment);

  // Called with all rows of the matrix, piece by piece.
  void add(const RoundedRows& piece, const WeightRounding& rounding, ThreadPool& pool);

  LinearError error() const;

 private:
  std::span<const float> rows_, rounded_;
  int64_t columns_;
  const Adjustment& adjustment_;
  double weight_ = 0, weight_error_ = 0, output_ = 0, output_error_ = 0;  // sums of squares
};

}  // namespace duan::quant
