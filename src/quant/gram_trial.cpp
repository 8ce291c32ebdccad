#include "quant/gram_trial.h"

#include <algorithm>

#include "base/error.h"
#include "quant/parts.h"

namespace duan::quant {
namespace {
constexpr int64_t kPieceRows = 64;  // enough for the kernels
}

GramTrial::GramTrial(const Gram& gram, std::span<const SourceMatrix> consumers, const WeightRounding& rounding,
                     int64_t rows, ThreadPool& pool)
    : gram_(gram), rounding_(rounding), pool_(pool) {
  rounding_.observer = WeightObserver::minmax;
  rounding_.scale_dtype = DType::f32;
  rounding_.largest_outward = true;
  int64_t all = 0;
  for (const SourceMatrix& matrix : consumers) {
    DUAN_CHECK(matrix.columns() == gram.width(), "{} columns read {} channels", matrix.columns(), gram.width());
    all += matrix.rows();
  }
  const int64_t count = rows == 0 ? all : std::min(rows, all), width = gram.width();
  rows_.resize(static_cast<size_t>(count * width));
  size_t matrix = 0;
  int64_t begin = 0;  // of the matrix, among the rows of all
  for (int64_t i = 0; i < count; ++i) {
    const int64_t row = spread_row(i, count, all);
    while (row - begin >= consumers[matrix].rows()) begin += consumers[matrix++].rows();
    consumers[matrix].read(row - begin, 1, rows_.data() + i * width);
  }
}

double GramTrial::loss(std::span<const float> scales, double limit) {
  const auto width = static_cast<size_t>(gram_.width());
  DUAN_CHECK(scales.size() == width, "{} scales for {} channels", scales.size(), width);
  const auto count = static_cast<int64_t>(rows_.size() / width);
  const double numbers = gram_.count() * static_cast<double>(count);
  std::vector<float> changes(static_cast<size_t>(std::min(kPieceRows, count)) * width);
  std::vector<double> squares(static_cast<size_t>(kPieceRows));
  double sum = 0;
  for (int64_t first = 0; first < count && !(sum > limit * numbers); first += kPieceRows) {
    const int64_t piece = std::min(kPieceRows, count - first);
    for_parts(pool_, piece, 1, 8 * piece * gram_.width(), [&](int64_t begin, int64_t end, int) {
      RoundedRow rounded;
      for (int64_t r = begin; r < end; ++r) {
        const float* weights = rows_.data() + static_cast<size_t>(first + r) * width;
        const std::span<float> row(changes.data() + static_cast<size_t>(r) * width, width);
        for (size_t c = 0; c < width; ++c) row[c] = weights[c] * scales[c];
        round_row(row, rounding_, rounded);
        dequantize_row(rounded, rounding_, row);
        for (size_t c = 0; c < width; ++c) row[c] = row[c] / scales[c] - weights[c];
      }
    });
    const std::span<double> of_piece = std::span(squares).first(static_cast<size_t>(piece));
    gram_.quadratic(piece, changes.data(), of_piece, pool_);
    for (const double square : of_piece) sum += square;
  }
  return sum / numbers;
}

}  // namespace duan::quant
