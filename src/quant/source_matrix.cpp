#include "quant/source_matrix.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "base/error.h"
#include "quant/parts.h"

namespace duan::quant {
namespace {
constexpr int64_t kPieceBytes = int64_t{4} << 20;
}  // namespace

int64_t rows_at_once(int64_t columns) {
  return std::max<int64_t>(kPieceBytes / (std::max<int64_t>(columns, 1) * static_cast<int64_t>(sizeof(float))), 1);
}

SourceMatrix::SourceMatrix(const checkpoint::Checkpoint& checkpoint, const std::string& weight, const Shape& shape)
    : checkpoint_(checkpoint), weight_(checkpoint.weight(weight, shape)) {
  DUAN_CHECK(std::holds_alternative<Dense>(weight_.format), "{} is quantized", weight);
}

void SourceMatrix::read(int64_t first, int64_t count, float* out) const {
  const auto row_bytes = static_cast<int64_t>(dtype_size(dtype())) * columns();
  to_float(dtype(), dense().data + first * row_bytes, count * columns(), out);
}

void SourceMatrix::read(int64_t first, int64_t count, const Adjustment& adjustment, float* out) const {
  read(first, count, out);
  for (int64_t r = 0; r < count && !adjustment.empty(); ++r) {
    float* row = out + r * columns();
    if (!adjustment.column_factors.empty()) {
      for (int64_t c = 0; c < columns(); ++c) row[c] *= adjustment.column_factors[static_cast<size_t>(c)];
    }
    if (!adjustment.row_divisors.empty()) {
      const float divisor = adjustment.row_divisors[static_cast<size_t>(first + r)];
      for (int64_t c = 0; c < columns(); ++c) row[c] /= divisor;
    }
  }
}

void SourceMatrix::release(int64_t first, int64_t count) const {
  const auto row_bytes = static_cast<int64_t>(dtype_size(dtype())) * columns();
  checkpoint_.release({dense().data + first * row_bytes, static_cast<size_t>(count * row_bytes)});
}

void SourceMatrix::check_finite(ThreadPool& pool) const {
  std::atomic<int64_t> wrong{rows()};  // the first row with a number that is not finite
  const int64_t piece = rows_at_once(columns());
  for_parts(pool, rows(), 1, rows() * columns(), [&](int64_t begin, int64_t end, int) {
    std::vector<float> values;
    for (int64_t first = begin; first < end; first += piece) {
      const int64_t count = std::min(piece, end - first);
      values.resize(static_cast<size_t>(count * columns()));
      read(first, count, values.data());
      const auto found = std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
      if (found == values.end()) continue;
      const int64_t row = first + (found - values.begin()) / columns();
      int64_t known = wrong;
      while (row < known && !wrong.compare_exchange_weak(known, row)) {
      }
      return;
    }
  });
  if (wrong == rows()) return;
  std::vector<float> row(static_cast<size_t>(columns()));
  read(wrong, 1, row.data());
  const auto found = std::find_if(row.begin(), row.end(), [](float v) { return !std::isfinite(v); });
  const std::string place = weight_.shape.size() == 2 ? fmt::format("[{}, {}]", wrong.load(), found - row.begin())
                                                      : fmt::format("[{}]", found - row.begin());
  throw Error(fmt::format("tensor \"{}\" holds {} at {}, not a finite number", printable(name()), *found, place),
              checkpoint_.folder().string(), "the file may be damaged");
}

int64_t spread_row(int64_t i, int64_t count, int64_t all) {
  const int64_t first = i * all / count, last = (i + 1) * all / count;
  const uint64_t mixed = (static_cast<uint64_t>(i) * 0x9E3779B97F4A7C15u) >> 32;
  return first + static_cast<int64_t>(mixed % static_cast<uint64_t>(last - first));
}

void for_spread_rounded(const SourceMatrix& source, int64_t count, const WeightRounding& rounding,
                        std::span<const float> importance, ThreadPool& pool,
                        const std::function<void(const RoundedRows&)>& work) {
  const int64_t rows = std::min(count, source.rows()), columns = source.columns();
  std::vector<float> values(static_cast<size_t>(rows * columns));
  std::vector<RoundedRow> rounded(static_cast<size_t>(rows));
  WeightRounding stored = rounding;
  stored.scale_dtype = source.dtype();
  for_parts(pool, rows, 1, 4 * rows * columns, [&](int64_t begin, int64_t end, int) {
    for (int64_t r = begin; r < end; ++r) {
      float* row = values.data() + r * columns;
      source.read(spread_row(r, rows, source.rows()), 1, row);
      round_row({row, static_cast<size_t>(columns)}, stored, rounded[static_cast<size_t>(r)], importance);
    }
  });
  work({0, rows, values, rounded});
}

void for_each_rounded(const SourceMatrix& source, const Adjustment& adjustment, const WeightRounding& rounding,
                      std::span<const float> importance, ThreadPool& pool,
                      const std::function<void(const RoundedRows&)>& work) {
  const int64_t columns = source.columns(), piece = rows_at_once(columns);
  std::vector<float> adjusted(static_cast<size_t>(std::min(piece, source.rows()) * columns));
  std::vector<RoundedRow> rounded(static_cast<size_t>(std::min(piece, source.rows())));
  WeightRounding stored = rounding;
  stored.scale_dtype = source.dtype();
  for (int64_t first = 0; first < source.rows(); first += piece) {
    const int64_t count = std::min(piece, source.rows() - first);
    for_parts(pool, count, 1, 4 * count * columns, [&](int64_t begin, int64_t end, int) {
      source.read(first + begin, end - begin, adjustment, adjusted.data() + begin * columns);
      for (int64_t r = begin; r < end; ++r) {
        round_row({adjusted.data() + r * columns, static_cast<size_t>(columns)}, stored,
                  rounded[static_cast<size_t>(r)], importance);
      }
    });
    work({first, count, std::span(adjusted).first(static_cast<size_t>(count * columns)),
          std::span(rounded).first(static_cast<size_t>(count))});
    source.release(first, count);
  }
}

}  // namespace duan::quant
