#include "quant/cholesky.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "quant/parts.h"

namespace duan::quant {
namespace {

// Panel by panel of columns: what the columns to the left contribute is subtracted (nearly all of the work), the
// panel's square on the diagonal is factored, and the rows below are solved with it. A row's numbers depend on rows
// above it alone and are computed by one thread.

constexpr int kTile = 4;            // rows and columns of a tile of results: 8 pairs of the baseline's 16 registers
constexpr int64_t kDepth = 256;     // products summed at once: a panel's weights of that depth stay in the L2 cache
constexpr int64_t kSolvedRows = 8;  // side by side

typedef double Pair __attribute__((vector_size(16)));

inline Pair load(const double* p) {
  Pair pair;
  std::memcpy(&pair, p, sizeof pair);
  return pair;
}

// c[row i][j] -= sum over k of a[row i][k] * b[k][j], for `rows` rows and kTile columns; b[depth][kTile]. Rows that do
// not exist repeat the last one.
void subtract_tile(const double* a, int64_t a_stride, int rows, const double* b, int64_t depth, double* c,
                   int64_t c_stride) {
  const double* row[kTile];
  for (int i = 0; i < kTile; ++i) row[i] = a + std::min(i, rows - 1) * a_stride;
  Pair sums[kTile][2] = {};
  for (int64_t k = 0; k < depth; ++k, b += kTile) {
    const Pair left = load(b), right = load(b + 2);
    for (int i = 0; i < kTile; ++i) {
      const Pair factor = {row[i][k], row[i][k]};
      sums[i][0] += factor * left;
      sums[i][1] += factor * right;
    }
  }
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < kTile; ++j) c[i * c_stride + j] -= sums[i][j / 2][j % 2];
  }
}

// The first `depth` columns of the panel's rows, for subtract_tile: [tile of kTile rows][depth][kTile], zeros where
// rows end.
std::vector<double> packed(const Triangle<double>& a, int64_t panel, ThreadPool& pool) {
  const auto range = a.range(panel);
  const int64_t depth = range.first, tiles = (range.rows() + kTile - 1) / kTile;
  std::vector<double> out(static_cast<size_t>(tiles * depth * kTile), 0.0);
  for_parts(pool, tiles, 1, range.rows() * depth, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin * kTile; i < std::min(end * kTile, range.rows()); ++i) {
      const double* row = a.row(range.first + i);
      double* to = out.data() + i / kTile * depth * kTile + i % kTile;
      for (int64_t k = 0; k < depth; ++k) to[k * kTile] = row[k];
    }
  });
  return out;
}

// Rows [begin, end) of columns [first, first + size) less what the columns before contribute; b: packed.
void subtract(Triangle<double>& a, int64_t begin, int64_t end, int64_t first, int64_t size,
              const std::vector<double>& b) {
  const int64_t stride = a.columns(begin);
  double* rows = a.row(begin);
  for (int64_t k = 0; k < first; k += kDepth) {
    const int64_t depth = std::min(kDepth, first - k);
    for (int64_t i = 0; i < end - begin; i += kTile) {
      const int count = static_cast<int>(std::min<int64_t>(kTile, end - begin - i));
      for (int64_t j = 0; j < size; j += kTile) {
        const double* weights = b.data() + j * first + k * kTile;
        double* c = rows + i * stride + first + j;
        if (j + kTile <= size) {
          subtract_tile(rows + i * stride + k, stride, count, weights, depth, c, stride);
          continue;
        }
        double edge[kTile * kTile] = {};
        subtract_tile(rows + i * stride + k, stride, count, weights, depth, edge, kTile);
        for (int r = 0; r < count; ++r) {
          for (int64_t l = 0; l < size - j; ++l) c[r * stride + l] += edge[r * kTile + l];
        }
      }
    }
  }
}

// The square of a panel on the diagonal.
bool factor_square(Triangle<double>& a, Triangle<double>::Range range) {
  for (int64_t i = range.first; i < range.last; ++i) {
    double* row = a.row(i);
    for (int64_t j = range.first; j <= i; ++j) {
      const double* other = a.row(j);
      double value = row[j];
      for (int64_t k = range.first; k < j; ++k) value -= row[k] * other[k];
      if (j < i) {
        row[j] = value / other[j];
      } else if (value > 0 && std::isfinite(value)) {
        row[i] = std::sqrt(value);
      } else {
        return false;
      }
    }
  }
  return true;
}

// Rows [begin, end) below the square: x L^T = a.
void solve(Triangle<double>& a, int64_t begin, int64_t end, Triangle<double>::Range range) {
  double x[kPanelRows][kSolvedRows];
  for (int64_t first = begin; first < end; first += kSolvedRows) {
    const int64_t count = std::min(kSolvedRows, end - first), size = range.rows();
    for (int64_t j = 0; j < size; ++j) {
      for (int64_t r = 0; r < kSolvedRows; ++r) x[j][r] = a.row(first + std::min(r, count - 1))[range.first + j];
    }
    for (int64_t j = 0; j < size; ++j) {
      const double* row = a.row(range.first + j) + range.first;
      double sums[kSolvedRows];
      std::copy_n(x[j], kSolvedRows, sums);
      for (int64_t i = 0; i < j; ++i) {
        for (int64_t r = 0; r < kSolvedRows; ++r) sums[r] -= x[i][r] * row[i];
      }
      for (int64_t r = 0; r < kSolvedRows; ++r) x[j][r] = sums[r] / row[j];
    }
    for (int64_t j = 0; j < size; ++j) {
      for (int64_t r = 0; r < count; ++r) a.row(first + r)[range.first + j] = x[j][r];
    }
  }
}

}  // namespace

bool cholesky(Triangle<double>& a, ThreadPool& pool) {
  constexpr int64_t kTaskRows = 32;  // of a task for a thread; they divide panels
  for (int64_t p = 0; p < a.panels(); ++p) {
    const auto range = a.range(p);
    const std::vector<double> b = packed(a, p, pool);
    const auto for_rows = [&](int64_t first, int64_t depth, const auto& work) {
      const int64_t count = a.size() - first, tasks = (count + kTaskRows - 1) / kTaskRows;
      for_tasks(pool, tasks, count * range.rows() * depth, [&](int64_t task) {
        const int64_t begin = first + task * kTaskRows;
        work(begin, std::min(begin + kTaskRows, a.size()));
      });
    };
    for_rows(range.first, range.first,
             [&](int64_t begin, int64_t end) { subtract(a, begin, end, range.first, range.rows(), b); });
    if (!factor_square(a, range)) return false;
    for_rows(range.last, range.rows(), [&](int64_t begin, int64_t end) { solve(a, begin, end, range); });
  }
  return true;
}

}  // namespace duan::quant
