// What a stream of activations looks like, and the symmetric range [-r, r] to round them in.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace duan::quant {

// Counts of |x| in bins of one width, a power of two that grows with the largest number seen: two bins become one
// exactly. So the result depends on the numbers alone, not on their order or on who saw which.
class AbsHistogram {
 public:
  static constexpr int kBins = 4096;

  // Finite numbers only.
  void add(std::span<const float> values);
  void merge(const AbsHistogram& other);

  float highest() const { return highest_; }  // max |x|
  uint64_t count() const { return count_; }
  double bin_width() const;                                            // largest |x| < kBins * bin_width
  std::span<const uint64_t, kBins> counts() const { return counts_; }  // bin i: [i, i + 1) * bin_width

 private:
  void widen(int exponent);

  std::array<uint64_t, kBins> counts_{};
  uint64_t count_ = 0;
  float highest_ = 0;
  int exponent_ = -126;  // bin width 2^exponent
};

enum class RangeMethod {
  minmax,      // the largest number seen
  percentile,  // the given part of all numbers is inside
  mse,         // the expected square of the rounding and clipping errors is least
  entropy,     // the divergence of the rounded from the clipped distribution is least (KL, 128 levels)
};
std::string_view range_method_name(RangeMethod method);

struct RangeOptions {
  RangeMethod method = RangeMethod::mse;
  double percentile = 99.999;  // in (0, 100]
};

// r >= 0 for int8 codes of step r / 127.5; 0 if only zeros were seen. At most highest().
float choose_range(const AbsHistogram& histogram, const RangeOptions& options);

// The expected square of the error of one number if the range is r > 0.
double expected_error(const AbsHistogram& histogram, double range);

}  // namespace duan::quant
