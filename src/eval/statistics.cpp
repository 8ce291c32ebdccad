#include "eval/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace duan::eval {
namespace {

constexpr double kNormal95 = 1.959963984540054;  // 97.5 % of the normal distribution lie below it

}  // namespace

void Mean::add(double value) {
  ++count_;
  const double distance = value - mean_;
  mean_ += distance / static_cast<double>(count_);
  squares_ += distance * (value - mean_);
}

double Mean::standard_error() const {
  if (count_ < 2) return std::numeric_limits<double>::infinity();
  const auto n = static_cast<double>(count_);
  return std::sqrt(squares_ / (n - 1) / n);
}

Interval Mean::interval() const {
  const double half = kNormal95 * standard_error();
  return {mean_ - half, mean_ + half};
}

double percentile(std::span<const double> sorted, double percent) {
  DUAN_CHECK(!sorted.empty() && percent >= 0 && percent <= 100, "percentile {} of {} values", percent, sorted.size());
  const double position = percent / 100 * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(position);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (position - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Interval share_interval(int64_t hits, int64_t count) {
  constexpr double z = 1.959963984540054;
  const auto n = static_cast<double>(count);
  const double share = static_cast<double>(hits) / n, middle = share + z * z / (2 * n);
  const double reach = z * std::sqrt(share * (1 - share) / n + z * z / (4 * n * n));
  return {(middle - reach) / (1 + z * z / n), (middle + reach) / (1 + z * z / n)};
}

}  // namespace duan::eval
