#include "quant/cholesky.h"

#include <algorithm>
#include <cmath>

#include "base/cpu.h"
#include "base/target.h"
#include "kernels/unroll.h"
#include "quant/parts.h"

namespace duan::quant {
namespace {

constexpr int kTileRows = 4, kTileColumns = 8;  // of results

namespace plain {
constexpr int kLanes = 2, kTogether = 2;
#include "quant/cholesky_tile.inc"
}  // namespace plain

#if defined(__x86_64__)
DUAN_TARGET_BEGIN(DUAN_TARGET_AVX2)
namespace avx2 {
constexpr int kLanes = 4, kTogether = 2;
#include "quant/cholesky_tile.inc"
}  // namespace avx2
DUAN_TARGET_END
#endif

using SubtractTile = decltype(&plain::subtract_tile);

SubtractTile select_subtract_tile() {
#if defined(__x86_64__)
  static const bool has_avx2 = isa_allowed(Isa::avx2);
  if (has_avx2) return avx2::subtract_tile;
#endif
  return plain::subtract_tile;
}

// Panel by panel of columns: what the columns to the left contribute is subtracted (nearly all of the work), the
// panel's square on the diagonal is factored, and the rows below are solved with it. A row's numbers depend on rows
// above it alone and are computed by one thread.

constexpr int64_t kDepth = 256;     // products summed at once: a panel's weights of that depth stay in the L2 cache
constexpr int64_t kSolvedRows = 8;  // side by side

// The first `depth` columns of the panel's rows, for subtract_tile: [tile of rows][depth][kTileColumns], zeros where
// rows end.
std::vector<double> packed(const Triangle<double>& a, int64_t panel, ThreadPool& pool) {
  const auto range = a.range(panel);
  const int64_t depth = range.first, tiles = (range.rows() + kTileColumns - 1) / kTileColumns;
  std::vector<double> out(static_cast<size_t>(tiles * depth * kTileColumns), 0.0);
  for_parts(pool, tiles, 1, range.rows() * depth, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin * kTileColumns; i < std::min(end * kTileColumns, range.rows()); ++i) {
      const double* row = a.row(range.first + i);
      double* to = out.data() + i / kTileColumns * depth * kTileColumns + i % kTileColumns;
      for (int64_t k = 0; k < depth; ++k) to[k * kTileColumns] = row[k];
    }
  });
  return out;
}

// Rows [begin, end) of columns [first, first + size) less what the columns before contribute; b: packed.
void subtract(Triangle<double>& a, int64_t begin, int64_t end, int64_t first, int64_t size,
              const std::vector<double>& b) {
  const SubtractTile subtract_tile = select_subtract_tile();
  const int64_t stride = a.columns(begin);
  double* rows = a.row(begin);
  for (int64_t k = 0; k < first; k += kDepth) {
    const int64_t depth = std::min(kDepth, first - k);
    for (int64_t i = 0; i < end - begin; i += kTileRows) {
      const int count = static_cast<int>(std::min<int64_t>(kTileRows, end - begin - i));
      for (int64_t j = 0; j < size; j += kTileColumns) {
        const double* weights = b.data() + j * first + k * kTileColumns;
        double* c = rows + i * stride + first + j;
        if (j + kTileColumns <= size) {
          subtract_tile(rows + i * stride + k, stride, count, weights, depth, c, stride);
          continue;
        }
        double edge[kTileRows * kTileColumns] = {};
        subtract_tile(rows + i * stride + k, stride, count, weights, depth, edge, kTileColumns);
        for (int r = 0; r < count; ++r) {
          for (int64_t l = 0; l < size - j; ++l) c[r * stride + l] += edge[r * kTileColumns + l];
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
