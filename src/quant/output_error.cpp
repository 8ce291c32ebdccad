#include "quant/output_error.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "kernels/linear.h"
#include "kernels/linear_int8.h"
#include "quant/parts.h"

namespace duan::quant {
namespace {

constexpr float kCodes = 127.5f;  // of a range, as compressed-tensors divides it

double relative(double error, double whole) { return whole > 0 ? std::sqrt(error / whole) : error > 0 ? 1 : 0; }

// y[rows, count] = x[rows, k] w[count, k]^T.
void multiply(const std::vector<float>& w, std::span<const float> x, int64_t k, int64_t first, int64_t last,
              int64_t count, std::vector<float>& y) {
  kernels::select_linear(DType::f32, DType::f32)
      .run({.x = x.data(),
            .x_dtype = DType::f32,
            .x_stride = k,
            .w = reinterpret_cast<const std::byte*>(w.data()),
            .w_dtype = DType::f32,
            .bias = nullptr,
            .y = y.data(),
            .y_stride = count,
            .rows = static_cast<int64_t>(x.size()) / k,
            .first = first,
            .last = last,
            .k = k,
            .accumulate = false});
}

}  // namespace

float input_scale(float range, DType dtype) {
  if (range == 0) return 1;  // only zeros were seen
  const float scale = nearest(dtype, range / kCodes);
  return scale > 0 ? scale : nearest(dtype, dtype == DType::f16 ? 6e-5f : 1.2e-38f);
}

float input_range(const Recipe& recipe, const AbsHistogram& histogram) {
  return recipe.method == Method::int8_static ? choose_range(histogram, recipe.range) : 0;
}

InputScheme input_scheme(const Recipe& recipe, float range, DType dtype) {
  switch (recipe.method) {
    case Method::int8_static:
      return {InputRounding::fixed, input_scale(range, dtype), 0};
    case Method::int8_dynamic:
      return {InputRounding::dynamic};
    case Method::rtn:
    case Method::awq:
    case Method::gptq:
    case Method::awq_gptq:
      break;
  }
  return {};
}

std::vector<float> divided(std::span<const float> rows, std::span<const float> divisors) {
  std::vector<float> out(rows.begin(), rows.end());
  if (divisors.empty()) return out;
  for (size_t i = 0; i < out.size(); ++i) out[i] /= divisors[i % divisors.size()];
  return out;
}

std::vector<float> column_importance(const Recipe& recipe, std::span<const float> mean_square,
                                     std::span<const float> divisors) {
  if (recipe.weights.observer != WeightObserver::imatrix) return {};
  return divided(divided(mean_square, divisors), divisors);
}

std::vector<float> rounded_input(std::span<const float> rows, int64_t columns, const InputScheme& scheme) {
  std::vector<float> values(rows.begin(), rows.end());
  if (scheme.rounding == InputRounding::none || rows.empty()) return values;
  const auto count = static_cast<int64_t>(rows.size()) / columns;
  std::vector<int8_t> codes(rows.size());
  std::vector<float> scales(static_cast<size_t>(count));
  kernels::linear_int8_kernels().back().round_input({.x = rows.data(),
                                                     .x_stride = columns,
                                                     .rows = count,
                                                     .k = columns,
                                                     .scheme = scheme,
                                                     .codes = codes.data(),
                                                     .scales = scales.data()});
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(codes[i] - scheme.zero_point) * scales[i / static_cast<size_t>(columns)];
  }
  return values;
}

ErrorMeter::ErrorMeter(std::span<const float> rows, std::span<const float> rounded, int64_t columns,
                       const Adjustment& adjustment)
    : rows_(rows), rounded_(rounded), columns_(columns), adjustment_(adjustment) {
  DUAN_CHECK(rows.size() == rounded.size(), "{} and {} numbers", rows.size(), rounded.size());
}

void ErrorMeter::add(const RoundedRows& piece, const WeightRounding& rounding, ThreadPool& pool) {
  const auto count = static_cast<size_t>(piece.count), columns = static_cast<size_t>(columns_);
  const std::vector<float> exact(piece.adjusted.begin(), piece.adjusted.end());
  std::vector<float> coarse(exact.size());
  const size_t tokens = rows_.size() / columns;
  std::vector<float> y(tokens * count), y_coarse(tokens * count);
  struct Sums {
    double weight = 0, weight_error = 0, output = 0, output_error = 0;
  };
  std::vector<Sums> sums(count);  // of each row, added up in order afterwards
  const int64_t cost = piece.count * columns_ * static_cast<int64_t>(tokens + 4);
  for_parts(pool, piece.count, 4, cost, [&](int64_t begin, int64_t end, int) {
    for (auto n = static_cast<size_t>(begin); n < static_cast<size_t>(end); ++n) {
      const std::span<float> values = std::span(coarse).subspan(n * columns, columns);
      dequantize_row(piece.rows[n], rounding, values);
      for (size_t c = 0; c < columns; ++c) {
        const double w = exact[n * columns + c], error = values[c] - w;
        sums[n].weight += w * w;
        sums[n].weight_error += error * error;
      }
    }
    if (tokens == 0) return;
    multiply(exact, rows_, columns_, begin, end, piece.count, y);
    multiply(coarse, rounded_, columns_, begin, end, piece.count, y_coarse);
    for (auto n = static_cast<size_t>(begin); n < static_cast<size_t>(end); ++n) {
      for (size_t t = 0; t < tokens; ++t) {
        const double value = y[t * count + n], error = y_coarse[t * count + n] - value;
        sums[n].output += value * value;
        sums[n].output_error += error * error;
      }
    }
  });
  for (size_t n = 0; n < count; ++n) {
    // In units of the source: what was divided counts as much as before.
    const std::vector<float>& divisors = adjustment_.row_divisors;
    const double divisor = divisors.empty() ? 1 : divisors[static_cast<size_t>(piece.first) + n];
    weight_ += sums[n].weight * divisor * divisor;
    weight_error_ += sums[n].weight_error * divisor * divisor;
    output_ += sums[n].output * divisor * divisor;
    output_error_ += sums[n].output_error * divisor * divisor;
  }
}

LinearError ErrorMeter::error() const { return {relative(weight_error_, weight_), relative(output_error_, output_)}; }

}  // namespace duan::quant
