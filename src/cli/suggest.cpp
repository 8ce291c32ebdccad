#include "cli/suggest.h"

#include <algorithm>

namespace duan::cli {
namespace {

// Optimal string alignment distance.
size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::string nearest(const std::string& typed, const std::vector<std::string>& known) {
  if (typed.size() > 100) return "";
  std::string best;
  size_t least = 0;
  for (const std::string& word : known) {
    const size_t d = distance(typed, word);
    if (best.empty() || d < least) {
      best = word;
      least = d;
    }
  }
  return 3 * least <= std::max(best.size(), typed.size()) ? best : "";
}

}  // namespace duan::cli
