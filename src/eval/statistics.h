// What a sample of numbers says about the distribution it comes from.
#pragma once

#include <cstdint>
#include <span>

namespace duan::eval {

struct Interval {
  double low, high;
};

// Mean and its uncertainty, one value at a time (Welford's recurrence: no cancellation however many values).
// Values are taken as independent; those of neighbouring tokens are not quite, so intervals are a little too narrow.
class Mean {
 public:
  void add(double value);
  int64_t count() const { return count_; }
  double value() const { return mean_; }
  double standard_error() const;  // infinite for fewer than two values: one says nothing of the spread
  Interval interval() const;      // 95 %, by the normal distribution

 private:
  int64_t count_ = 0;
  double mean_ = 0, squares_ = 0;  // squares_: sum of squared distances from the mean
};

// The 95 % interval of a share of `hits` in `count` > 0, by Wilson's score.
Interval share_interval(int64_t hits, int64_t count);

// Of at least one value in ascending order, 0 <= percent <= 100; linear between neighbours (numpy's default).
double percentile(std::span<const double> sorted, double percent);

}  // namespace duan::eval
