#include "quant/gptq.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "kernels/linear.h"
#include "quant/cholesky.h"
#include "quant/parts.h"

namespace duan::quant {
namespace {

constexpr int64_t kRows = 64;  // that a thread works on at once
constexpr auto kPanel = static_cast<size_t>(kPanelRows);
constexpr size_t kLine = 16;  // floats of a cache line
static_assert(kPanel % kLine == 0);

// H in the reverse order of the steps: its lower Cholesky factor, read backwards, is R.
Triangle<double> reversed_hessian(Gram gram, std::span<const float> divisors, const std::vector<int64_t>& order,
                                  ThreadPool& pool) {
  const int64_t size = gram.width();
  Triangle<double> hessian(size);
  for_tasks(pool, size, size * size, [&](int64_t i) {
    const int64_t a = order[static_cast<size_t>(size - 1 - i)];
    double* row = hessian.row(i);
    for (int64_t j = 0; j <= i; ++j) {
      const int64_t b = order[static_cast<size_t>(size - 1 - j)];
      row[j] = gram.at(a, b) / gram.count();
      if (!divisors.empty()) {
        row[j] /= static_cast<double>(divisors[static_cast<size_t>(a)]) * divisors[static_cast<size_t>(b)];
      }
    }
  });
  return hessian;
}

}  // namespace

Gptq::Gptq(Gram gram, std::span<const float> divisors, const std::string& readers, ThreadPool& pool)
    : order_(static_cast<size_t>(gram.width())), ratios_(1) {
  const int64_t size = gram.width();
  DUAN_CHECK(divisors.empty() || static_cast<int64_t>(divisors.size()) == size, "{} divisors for {} channels",
             divisors.size(), size);
  DUAN_CHECK(gram.count() > 0, "no tokens");
  std::vector<double> diagonal(order_.size());
  for (size_t c = 0; c < diagonal.size(); ++c) {
    const double divisor = divisors.empty() ? 1 : divisors[c];
    diagonal[c] = gram.at(static_cast<int64_t>(c), static_cast<int64_t>(c)) / gram.count() / (divisor * divisor);
  }
  std::iota(order_.begin(), order_.end(), 0);
  std::stable_sort(order_.begin(), order_.end(), [&](int64_t a, int64_t b) {
    return diagonal[static_cast<size_t>(a)] > diagonal[static_cast<size_t>(b)];
  });

  bool is_good = gram.is_finite();
  Triangle<double> hessian = reversed_hessian(std::move(gram), divisors, order_, pool);
  double mean = 0;
  for (const double value : diagonal) mean += (value > 0 ? value : 1) / static_cast<double>(size);
  for (int64_t j = 0; j < size; ++j) {
    const double value = diagonal[static_cast<size_t>(order_[static_cast<size_t>(j)])];
    damping_.push_back(kGptqDamping * mean + (value > 0 ? 0 : 1));
    hessian.row(size - 1 - j)[size - 1 - j] += damping_.back();
  }
  is_good = is_good && cholesky(hessian, pool);
  if (!is_good) {
    throw Error("its calibration inputs are too large or too small for their squares", readers,
                "a number in the weights before it may be far too large; --method awq needs no squares");
  }

  ratios_ = Triangle<float>(size);  // no sooner than the memory of `gram` is free
  for (int64_t j = 0; j < size; ++j) pivots_.push_back(hessian.row(size - 1 - j)[size - 1 - j]);
  for_tasks(pool, ratios_.panels(), size * size, [&](int64_t p) {
    const auto range = ratios_.range(p);
    for (int64_t i = 0; i < range.last; ++i) {
      const double* column = hessian.row(size - 1 - i);
      for (int64_t j = std::max(i, range.first); j < range.last; ++j) {
        ratios_.row(j)[i] = static_cast<float>(column[size - 1 - j] / pivots_[static_cast<size_t>(j)]);
      }
    }
  });
}

void Gptq::expect_lacking(ThreadPool& pool) {
  if (!columns_.empty()) return;
  columns_.resize(static_cast<size_t>(ratios_.panels()));
  for_tasks(pool, ratios_.panels(), ratios_.size() * ratios_.size(), [&](int64_t p) {
    const auto first = static_cast<size_t>(ratios_.range(p).first), size = static_cast<size_t>(ratios_.range(p).rows());
    std::vector<float>& columns = columns_[static_cast<size_t>(p)];
    columns.resize(first * size);
    for (size_t i = 0; i < first; i += kLine) {  // panels are whole lines
      for (size_t j = 0; j < size; ++j) {
        const float* ratios = ratios_.row(static_cast<int64_t>(first + j)) + i;
        for (size_t n = 0; n < kLine; ++n) columns[(i + n) * size + j] = ratios[n];
      }
    }
  });
}

struct Gptq::Chunk {
  const float* rows;  // [rounded.size(), width]
  const WeightRounding& rounding;
  std::span<RoundedRow> rounded;  // at most kRows
  Loss* losses;                   // of each row
  Lacking lacking;                // of them
};

void Gptq::round(std::span<const float> rows, const WeightRounding& rounding, std::span<RoundedRow> rounded,
                 std::span<Loss> losses, ThreadPool& pool, const Lacking& lacking) const {
  DUAN_CHECK(rows.size() == rounded.size() * order_.size() && losses.size() == rounded.size(),
             "{} numbers and {} losses of {} rows of {}", rows.size(), losses.size(), rounded.size(), order_.size());
  const std::span<const float> products = lacking.products;
  const std::span<const double> squares = lacking.squares;
  DUAN_CHECK(
      (products.empty() || products.size() == rows.size()) && (squares.empty() || squares.size() == rounded.size()),
      "{} numbers of {} lack, {} squares of {}", products.size(), rows.size(), squares.size(), rounded.size());
  DUAN_CHECK(!rounding.narrow, "GPTQ in a narrow dtype");
  DUAN_CHECK(products.empty() || !columns_.empty(), "what lacks was not expected");
  const auto width = static_cast<int64_t>(order_.size()), count = static_cast<int64_t>(rounded.size());
  for_tasks(pool, (count + kRows - 1) / kRows, count * width * width, [&](int64_t task) {
    const auto first = static_cast<size_t>(task) * kRows;
    const size_t chunk_rows = std::min<size_t>(kRows, rounded.size() - first);
    Chunk chunk{
        rows.data() + first * order_.size(), rounding, rounded.subspan(first, chunk_rows), losses.data() + first, {}};
    chunk.lacking.tokens = lacking.tokens;
    if (!products.empty()) {
      chunk.lacking.products = products.subspan(first * order_.size(), chunk_rows * order_.size());
    }
    if (!squares.empty()) chunk.lacking.squares = squares.subspan(first, chunk_rows);
    round_chunk(chunk);
  });
}

// b R^-T, each step divided by its R_jj, by [row][step]. From the last step to the first: what those of a panel mean
// for the steps before it is a matrix product.
std::vector<float> Gptq::made_up_for(const Chunk& chunk) const {
  const size_t count = chunk.rounded.size(), width = order_.size();
  std::vector<float> left(count * width), result(count * width), own(count * kPanel);
  std::vector<float> square(kPanel * kRows, 0.0f);  // of a panel, [step][row]
  for (size_t n = 0; n < count; ++n) {
    for (size_t j = 0; j < width; ++j) {
      left[n * width + j] = chunk.lacking.products[n * width + static_cast<size_t>(order_[j])];
    }
  }
  const kernels::LinearKernel& kernel = kernels::select_linear(DType::f32, DType::f32);
  for (int64_t p = ratios_.panels() - 1; p >= 0; --p) {
    const auto first = static_cast<size_t>(ratios_.range(p).first), last = static_cast<size_t>(ratios_.range(p).last);
    const size_t size = last - first;
    for (size_t n = 0; n < count; ++n) {
      for (size_t j = 0; j < size; ++j) square[j * kRows + n] = left[n * width + first + j];
    }
    for (size_t j = size; j-- > 0;) {
      const float* ratios = ratios_.row(static_cast<int64_t>(first + j)) + first;
      const float* of_step = square.data() + j * kRows;
      for (size_t i = 0; i < j; ++i) {
        const float ratio = ratios[i];
        float* to = square.data() + i * kRows;
        for (size_t n = 0; n < kRows; ++n) to[n] -= of_step[n] * ratio;
      }
    }
    for (size_t n = 0; n < count; ++n) {
      for (size_t j = 0; j < size; ++j) {
        const float number = square[j * kRows + n];
        const double pivot = pivots_[first + j];
        result[n * width + first + j] = static_cast<float>(number / (pivot * pivot));
        own[n * size + j] = -number;
      }
    }
    kernel.run({.x = own.data(),
                .x_dtype = DType::f32,
                .x_stride = static_cast<int64_t>(size),
                .w = reinterpret_cast<const std::byte*>(columns_[static_cast<size_t>(p)].data()),
                .w_dtype = DType::f32,
                .bias = nullptr,
                .y = left.data(),
                .y_stride = static_cast<int64_t>(width),
                .rows = static_cast<int64_t>(count),
                .first = 0,
                .last = static_cast<int64_t>(first),
                .k = static_cast<int64_t>(size),
                .accumulate = true});
  }
  for (size_t n = 0; n < count; ++n) {
    double part = kCarriedPart;
    if (!chunk.lacking.squares.empty()) {
      // Of what b explains of the squares, as much is chance as columns explain of the rest (James and Stein).
      double explained = 0;
      for (size_t j = 0; j < width; ++j) {
        const double column = static_cast<double>(result[n * width + j]) * pivots_[j];
        explained += column * column;
      }
      const double rest = std::max(chunk.lacking.squares[n] - explained, 0.0);
      const double free = chunk.lacking.tokens - static_cast<double>(width);
      const double chance = free > 0 ? rest * static_cast<double>(width) / free : explained;
      part = explained > 0 ? std::clamp(1 - chance / explained, 0.0, kCarriedPart) : 0;
    }
    for (size_t j = 0; j < width; ++j) result[n * width + j] *= static_cast<float>(part);
  }
  return result;
}

// Columns in panels: what the errors of all panels before mean for one is a matrix product, the rest goes step by step,
// the rows side by side.
void Gptq::round_chunk(const Chunk& chunk) const {
  const size_t count = chunk.rounded.size(), width = order_.size();
  const WeightRounding& r = chunk.rounding;
  const size_t group_size = r.group_size == 0 ? width : static_cast<size_t>(r.group_size), groups = width / group_size;
  const auto lowest = static_cast<float>(r.lowest()), highest = static_cast<float>(r.highest());
  const kernels::LinearKernel& kernel = kernels::select_linear(DType::f32, DType::f32);

  // By steps, of the codes being chosen (0 as long as they are not), and of those that were given to some rows.
  const size_t given_rows = (count + kLossRows - 1) / kLossRows, all_rows = count + given_rows;
  std::vector<float> errors(all_rows * width, 0.0f);
  std::vector<float> scales(groups * kRows, 1.0f), zero_points(groups * kRows, 0.0f);
  std::vector<float> values(width);
  for (size_t n = 0; n < count; ++n) {
    const float* weights = chunk.rows + n * width;
    const RoundedRow& row = chunk.rounded[n];
    if (n % kLossRows == 0) {
      dequantize_row(row, r, values);
      float* given = errors.data() + (count + n / kLossRows) * width;
      for (size_t j = 0; j < width; ++j) {
        const auto column = static_cast<size_t>(order_[j]);
        given[j] = weights[column] - values[column];
      }
    }
    for (size_t g = 0; g < groups; ++g) {
      scales[g * kRows + n] = row.scales[g];
      zero_points[g * kRows + n] = row.zero_points[g];
    }
  }

  const std::vector<float> made_up = chunk.lacking.products.empty() ? std::vector<float>() : made_up_for(chunk);
  std::vector<float> products(all_rows * kPanel);                            // errors times ratios
  std::vector<float> weights(kPanel * kRows, 0.0f), wanted(kPanel * kRows);  // of a panel, [step][row]
  std::vector<double> before(count, 0.0), after(kRows, 0.0);
  for (int64_t p = 0; p < ratios_.panels(); ++p) {
    const auto first = static_cast<size_t>(ratios_.range(p).first), last = static_cast<size_t>(ratios_.range(p).last);
    kernel.run({.x = errors.data(),
                .x_dtype = DType::f32,
                .x_stride = static_cast<int64_t>(width),
                .w = reinterpret_cast<const std::byte*>(ratios_.panel(p)),
                .w_dtype = DType::f32,
                .bias = nullptr,
                .y = products.data(),
                .y_stride = kPanelRows,
                .rows = static_cast<int64_t>(all_rows),
                .first = 0,
                .last = static_cast<int64_t>(last - first),
                .k = static_cast<int64_t>(last),
                .accumulate = false});
    for (size_t n = 0; n < count; ++n) {
      for (size_t j = first; j < last; ++j) {
        const size_t at = (j - first) * kRows + n;
        weights[at] = chunk.rows[n * width + static_cast<size_t>(order_[j])];
        const float more = made_up.empty() ? 0.0f : made_up[n * width + j];
        wanted[at] = weights[at] + products[n * kPanel + j - first] + more;
        if (n % kLossRows != 0) continue;
        const size_t given = count + n / kLossRows;
        const double change = (products[given * kPanel + j - first] + more) * pivots_[j],
                     error = errors[given * width + j];
        before[n] += change * change - damping_[j] * error * error;
      }
    }
    for (size_t j = first; j < last; ++j) {
      const auto column = static_cast<size_t>(order_[j]);
      const float* scale = scales.data() + column / group_size * kRows;
      const float* zero_point = zero_points.data() + column / group_size * kRows;
      const float* weight = weights.data() + (j - first) * kRows;
      float* want = wanted.data() + (j - first) * kRows;
      float codes[kRows], error[kRows];
      for (size_t n = 0; n < kRows; ++n) {
        codes[n] = round_half_even(std::min(std::max(want[n] / scale[n] + zero_point[n], lowest), highest));
        const float value = (codes[n] - zero_point[n]) * scale[n];
        error[n] = weight[n] - value;
        want[n] -= value;
      }
      for (size_t n = 0; n < kRows; ++n) {
        const double change = want[n] * pivots_[j];
        after[n] += change * change - damping_[j] * (static_cast<double>(error[n]) * error[n]);
      }
      for (size_t later = j + 1; later < last; ++later) {
        const float ratio = ratios_.row(static_cast<int64_t>(later))[j];
        float* to = wanted.data() + (later - first) * kRows;
        for (size_t n = 0; n < kRows; ++n) to[n] += error[n] * ratio;
      }
      for (size_t n = 0; n < count; ++n) {
        errors[n * width + j] = error[n];
        chunk.rounded[n].codes[column] = static_cast<int8_t>(codes[n]);
      }
    }
  }
  for (size_t n = 0; n < count; ++n) {
    chunk.losses[n] = {std::nullopt, std::max(after[n], 0.0)};
    if (n % kLossRows == 0) chunk.losses[n].before = std::max(before[n], 0.0);
  }
}

}  // namespace duan::quant
