#include "quant/gram.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "kernels/linear.h"
#include "quant/parts.h"

namespace duan::quant {
namespace {

// A task for a thread: a panel of rows by this many columns.
constexpr int64_t kTaskColumns = 1024;

kernels::LinearArgs multiply(const float* x, int64_t x_stride, int64_t rows, const float* w, int64_t k, float* y,
                             int64_t y_stride) {
  return {.x = x,
          .x_dtype = DType::f32,
          .x_stride = x_stride,
          .w = reinterpret_cast<const std::byte*>(w),
          .w_dtype = DType::f32,
          .bias = nullptr,
          .y = y,
          .y_stride = y_stride,
          .rows = rows,
          .first = 0,
          .last = 0,
          .k = k,
          .accumulate = false};
}

}  // namespace

Gram::Gram(int64_t width, DType products) : sums_(width), waiting_(width, products) {}

void Gram::add(int64_t rows, const float* x, ThreadPool& pool, std::span<const float> weights) {
  DUAN_CHECK(!is_finished_, "tokens after the last one");
  DUAN_CHECK(weights.empty() || static_cast<int64_t>(weights.size()) == rows, "{} weights of {} tokens", weights.size(),
             rows);
  std::vector<float> factors;
  for (const float weight : weights) factors.push_back(std::sqrt(weight));
  for (int64_t row = 0; row < rows;) {
    const int64_t taken = std::min(rows - row, waiting_.room());
    const std::span<const float> of_taken(factors.data() + (factors.empty() ? 0 : row),
                                          factors.empty() ? 0 : static_cast<size_t>(taken));
    waiting_.add(taken, x + row * width(), of_taken, pool);
    row += taken;
    if (waiting_.room() == 0) add_waiting(pool);
  }
  if (weights.empty()) count_ += static_cast<double>(rows);
  for (const float weight : weights) count_ += weight;
}

void Gram::add_waiting(ThreadPool& pool) {
  struct Task {
    int64_t panel, first, last;  // columns
  };
  std::vector<Task> tasks;
  for (int64_t p = sums_.panels() - 1; p >= 0; --p) {  // the largest first
    for (int64_t first = 0, last = sums_.range(p).last; first < last; first += kTaskColumns) {
      tasks.push_back({p, first, std::min(last, first + kTaskColumns)});
    }
  }
  waiting_.settle(pool);
  for_tasks(pool, static_cast<int64_t>(tasks.size()), width() * width() * waiting_.depth(), [&](int64_t t) {
    const Task& task = tasks[static_cast<size_t>(t)];
    const auto range = sums_.range(task.panel);
    add_products(waiting_, range.first, range.rows(), waiting_, task.first, task.last, sums_.panel(task.panel),
                 range.last);
  });
  waiting_.clear();
}

void Gram::finish(ThreadPool& pool) {
  if (waiting_.room() < waiting_.depth()) add_waiting(pool);
  waiting_.release();
  is_finished_ = true;
}

bool Gram::is_finite() const {
  for (int64_t i = 0; i < width(); ++i) {  // |G_ij| <= sqrt(G_ii G_jj)
    if (!std::isfinite(at(i, i))) return false;
  }
  return true;
}

void Gram::quadratic(int64_t rows, const float* x, std::span<double> out, ThreadPool& pool) const {
  DUAN_CHECK(is_finished_ && static_cast<int64_t>(out.size()) == rows, "{} results of {} rows", out.size(), rows);
  // Of each panel: twice its products with the columns to the left and with its own, less the latter, which are
  // symmetric in themselves.
  const int64_t panels = sums_.panels();
  std::vector<double> parts(static_cast<size_t>(panels * rows), 0.0);
  const kernels::LinearKernel& kernel = kernels::select_linear(DType::f32, DType::f32);
  for_tasks(pool, panels, rows * width() * width(), [&](int64_t task) {
    const int64_t p = panels - 1 - task;  // the largest first
    const auto range = sums_.range(p);
    const int64_t size = range.rows();
    std::vector<float> own(static_cast<size_t>(size * size));
    std::vector<float> all_products(static_cast<size_t>(rows * size)), own_products(all_products.size());
    for (int64_t i = 0; i < size; ++i) {
      std::copy_n(sums_.row(range.first + i) + range.first, size, own.data() + i * size);
    }
    kernels::LinearArgs args = multiply(x, width(), rows, sums_.panel(p), range.last, all_products.data(), size);
    args.last = size;
    kernel.run(args);
    args = multiply(x + range.first, width(), rows, own.data(), size, own_products.data(), size);
    args.last = size;
    kernel.run(args);
    for (int64_t r = 0; r < rows; ++r) {
      double sum = 0;
      for (int64_t i = 0; i < size; ++i) {
        const auto at = static_cast<size_t>(r * size + i);
        sum += static_cast<double>(x[r * width() + range.first + i]) *
               (2.0 * static_cast<double>(all_products[at]) - static_cast<double>(own_products[at]));
      }
      parts[static_cast<size_t>(p * rows + r)] = sum;
    }
  });
  std::fill(out.begin(), out.end(), 0.0);
  for (int64_t p = 0; p < panels; ++p) {
    for (int64_t r = 0; r < rows; ++r) out[static_cast<size_t>(r)] += parts[static_cast<size_t>(p * rows + r)];
  }
}

}  // namespace duan::quant
