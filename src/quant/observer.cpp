#include "quant/observer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace duan::quant {
namespace {

constexpr double kSteps = 127.5;  // of a range, as compressed-tensors divides it
constexpr int kLevels = 128;      // of |x| that int8 codes tell apart

// The smallest exponent with value < kBins * 2^exponent.
int exponent_for(float value) {
  int exponent = 0;
  std::frexp(value, &exponent);  // value = m * 2^exponent, m in [0.5, 1)
  return exponent - std::countr_zero(static_cast<unsigned>(AbsHistogram::kBins));
}

float percentile_range(const AbsHistogram& h, double percentile) {
  const double wanted = percentile / 100 * static_cast<double>(h.count());
  uint64_t inside = 0;
  for (int i = 0; i < AbsHistogram::kBins; ++i) {
    inside += h.counts()[static_cast<size_t>(i)];
    if (static_cast<double>(inside) >= wanted) {
      return std::min(h.highest(), static_cast<float>((i + 1) * h.bin_width()));
    }
  }
  return h.highest();
}

// Sixteen ranges per octave, over six octaves.
float mse_range(const AbsHistogram& h) {
  float best = h.highest();
  double least = std::numeric_limits<double>::infinity();
  for (int step = 0; step < 6 * 16; ++step) {
    const double range = h.highest() * std::exp2(-step / 16.0);
    const double error = expected_error(h, range);
    if (error < least) least = error, best = static_cast<float>(range);
  }
  return best;
}

// Sum of p log(p / q) where the first `bins` bins, the last holding all beyond, become kLevels levels.
double divergence(std::span<const uint64_t> counts, size_t bins, uint64_t beyond, double total) {
  double kl = 0;
  for (size_t level = 0; level < kLevels; ++level) {
    const size_t first = level * bins / kLevels, last = (level + 1) * bins / kLevels;
    uint64_t sum = 0;
    size_t occupied = 0;
    for (size_t i = first; i < last; ++i) {
      sum += counts[i];
      occupied += counts[i] > 0 || (i + 1 == bins && beyond > 0);
    }
    for (size_t i = first; i < last; ++i) {
      const auto p = static_cast<double>(counts[i] + (i + 1 == bins ? beyond : 0));
      if (p == 0) continue;
      // What a level knows of the clipped numbers is nothing: an empty one stands for half a number.
      const double q = std::max(static_cast<double>(sum), 0.5) / static_cast<double>(occupied);
      kl += p * std::log(p / q);
    }
  }
  // Both are normalised; q lacks what lies beyond.
  const double inside = std::max(total - static_cast<double>(beyond), 0.5);
  return kl / total + std::log(inside / total);
}

float entropy_range(const AbsHistogram& h) {
  const auto used = static_cast<size_t>(h.highest() / h.bin_width()) + 1;  // at least kBins / 2
  uint64_t beyond = 0;
  size_t best = used;
  double least = std::numeric_limits<double>::infinity();
  constexpr size_t kStride = 16;
  size_t edge = used;
  for (size_t bins = used; bins >= kLevels; bins -= std::min(bins, kStride)) {
    for (; edge > bins; --edge) beyond += h.counts()[edge - 1];
    const double kl = divergence(h.counts(), bins, beyond, static_cast<double>(h.count()));
    if (kl < least) least = kl, best = bins;
  }
  return std::min(h.highest(), static_cast<float>(static_cast<double>(best) * h.bin_width()));
}

}  // namespace

double AbsHistogram::bin_width() const { return std::ldexp(1.0, exponent_); }

void AbsHistogram::widen(int exponent) {
  for (; exponent_ < exponent && count_ > 0; ++exponent_) {
    for (size_t i = 0; i < kBins / 2; ++i) counts_[i] = counts_[2 * i] + counts_[2 * i + 1];
    std::fill(counts_.begin() + kBins / 2, counts_.end(), 0);
  }
  exponent_ = std::max(exponent_, exponent);
}

void AbsHistogram::add(std::span<const float> values) {
  float highest = 0;
  for (const float value : values) highest = std::max(highest, std::abs(value));
  DUAN_CHECK(std::isfinite(highest), "a histogram of numbers that are not finite");
  if (highest > 0) widen(exponent_for(highest));
  highest_ = std::max(highest_, highest);
  const double per_width = std::ldexp(1.0, -exponent_);
  for (const float value : values) ++counts_[static_cast<size_t>(std::abs(value) * per_width)];
  count_ += values.size();
}

void AbsHistogram::merge(const AbsHistogram& other) {
  AbsHistogram copy = other;
  copy.widen(exponent_);
  widen(copy.exponent_);
  for (size_t i = 0; i < kBins; ++i) counts_[i] += copy.counts_[i];
  count_ += copy.count_;
  highest_ = std::max(highest_, copy.highest_);
}

double expected_error(const AbsHistogram& h, double range) {
  const double step = range / kSteps, width = h.bin_width();
  const bool coarse_bins = step < 4 * width;  // then the numbers of a bin fall on several codes alike
  double sum = 0;
  for (size_t i = 0; i < AbsHistogram::kBins; ++i) {
    const uint64_t count = h.counts()[i];
    if (count == 0) continue;
    const double x = (static_cast<double>(i) + 0.5) * width;
    const double code = std::min(std::round(x / step), kSteps - 0.5);
    const double error = x - code * step;
    const double squared = coarse_bins && x < range ? step * step / 12 : error * error;
    sum += static_cast<double>(count) * squared;
  }
  return sum / static_cast<double>(std::max<uint64_t>(h.count(), 1));
}

float choose_range(const AbsHistogram& histogram, const RangeOptions& options) {
  if (histogram.highest() == 0) return 0;
  switch (options.method) {
    case RangeMethod::minmax:
      return histogram.highest();
    case RangeMethod::percentile:
      DUAN_CHECK(options.percentile > 0 && options.percentile <= 100, "percentile {}", options.percentile);
      return percentile_range(histogram, options.percentile);
    case RangeMethod::mse:
      return mse_range(histogram);
    case RangeMethod::entropy:
      return entropy_range(histogram);
  }
  return histogram.highest();
}

std::string_view range_method_name(RangeMethod method) {
  switch (method) {
    case RangeMethod::minmax:
      return "minmax";
    case RangeMethod::percentile:
      return "percentile";
    case RangeMethod::mse:
      return "mse";
    case RangeMethod::entropy:
      return "entropy";
  }
  return "";
}

}  // namespace duan::quant
