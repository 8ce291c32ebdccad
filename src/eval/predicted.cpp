#include "eval/predicted.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace duan::eval {

std::vector<int64_t> predicted_positions(const Predicted& predicted, size_t index, size_t length) {
  std::vector<int64_t> positions;
  if (predicted.empty()) {
    positions.resize(length < 2 ? 0 : length - 1);
    std::iota(positions.begin(), positions.end(), 1);
    return positions;
  }
  DUAN_CHECK(index < predicted.size(), "{} of {} lists of positions", index, predicted.size());
  positions = predicted[index];
  const bool ascending = std::is_sorted(positions.begin(), positions.end(), std::less_equal<>());
  const bool inside = positions.empty() || (positions.front() >= 1 && positions.back() < static_cast<int64_t>(length));
  DUAN_CHECK(ascending && inside, "positions of a sequence of {} tokens", length);
  return positions;
}

}  // namespace duan::eval
