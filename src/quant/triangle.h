// The lower triangle of a square matrix, stored so that matrix kernels can read its rows as they lie.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/error.h"

namespace duan::quant {

// Rows in panels of kPanelRows: panel p holds columns [0, last) of its rows [first, last), one row after the other, so
// a little of the upper triangle, too. About half the memory of the whole.
inline constexpr int64_t kPanelRows = 128;

template <typename T>
class Triangle {
 public:
  explicit Triangle(int64_t size) : size_(size), values_(numbers_of(size)) {}

  int64_t size() const { return size_; }
  int64_t panels() const { return (size_ + kPanelRows - 1) / kPanelRows; }

  struct Range {
    int64_t first, last;
    int64_t rows() const { return last - first; }
  };
  Range range(int64_t panel) const { return {panel * kPanelRows, std::min(size_, (panel + 1) * kPanelRows)}; }
  // [rows of the panel, last]
  T* panel(int64_t panel) { return values_.data() + start_of(panel); }
  const T* panel(int64_t panel) const { return values_.data() + start_of(panel); }

  // The start of row i, and how many of its columns there are: i + 1 or more.
  T* row(int64_t i) { return panel(i / kPanelRows) + i % kPanelRows * columns(i); }
  const T* row(int64_t i) const { return panel(i / kPanelRows) + i % kPanelRows * columns(i); }
  int64_t columns(int64_t i) const { return range(i / kPanelRows).last; }

 private:
  static int64_t start_of(int64_t panel) { return kPanelRows * kPanelRows * panel * (panel + 1) / 2; }
  static size_t numbers_of(int64_t size) {
    DUAN_CHECK(size > 0 && size < int64_t{1} << 31, "{} rows", size);
    const int64_t last = (size - 1) / kPanelRows;
    return static_cast<size_t>(start_of(last) + (size - last * kPanelRows) * size);
  }

  int64_t size_;
  std::vector<T> values_;
};

}  // namespace duan::quant
