// Operands of a linear layer with random sizes, for the tests of all kernels that take LinearArgs.
#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/kernel_support.h"
#include "kernels/linear.h"

namespace duan::test {

struct Shape {
  int64_t rows, k, columns;
};

using Run = void (*)(const kernels::LinearArgs& args) noexcept;

// Operands of one product, and y with an unused column at the end of each row.
struct Product {
  Product(const Shape& sizes, DType weight, DType activation, Random& random, Guard guard)
      : shape(sizes),
        x_stride(shape.k + random.whole(0, 3)),
        y_stride(shape.columns + 1),
        x((shape.rows - 1) * x_stride + shape.k, activation, random, guard),
        w(shape.columns * shape.k, weight, random, guard, static_cast<size_t>(random.whole(0, 1))),
        bias(shape.columns, DType::f32, random, guard),
        before(shape.rows * y_stride, DType::f32, random),
        with_bias(random.chance(0.5)),
        args{x.data(),
             activation,
             x_stride,
             w.data(),
             weight,
             with_bias ? reinterpret_cast<const float*>(bias.data()) : nullptr,
             nullptr,
             y_stride,
             shape.rows,
             0,
             shape.columns,
             shape.k,
             random.chance(0.5)} {}

  std::vector<float> initial() {
    std::vector<float> y(static_cast<size_t>(shape.rows * y_stride));
    std::memcpy(y.data(), before.data(), y.size() * sizeof(float));
    return y;
  }
  std::vector<float> run(Run kernel, Guard guard = Guard::after) {
    // The last row's unused column is left out, so that a store past the last result meets the guard.
    const size_t count = static_cast<size_t>(shape.rows * y_stride - 1);
    Guarded<float> y(count, guard);
    std::memcpy(y.data(), before.data(), count * sizeof(float));
    kernels::LinearArgs copy = args;
    copy.y = y.data();
    kernel(copy);
    std::vector<float> result = initial();
    std::memcpy(result.data(), y.data(), count * sizeof(float));
    return result;
  }

  // The same by calls of up to so many rows and columns each.
  std::vector<float> run_in_parts(Run kernel, Random& random, int64_t most_rows, int64_t most_columns) {
    std::vector<float> y = initial();
    for (int64_t row = 0; row < shape.rows;) {
      const int64_t rows = std::min<int64_t>(shape.rows - row, random.whole(1, most_rows));
      for (int64_t column = 0; column < shape.columns;) {
        kernels::LinearArgs part = args;
        part.x = x.data() + row * x_stride * static_cast<int64_t>(dtype_size(args.x_dtype));
        part.y = y.data() + row * y_stride;
        part.rows = rows;
        part.first = column;
        part.last = column = std::min(shape.columns, column + random.whole(1, most_columns));
        kernel(part);
      }
      row += rows;
    }
    return y;
  }

  Shape shape;
  int64_t x_stride, y_stride;
  Operand x, w, bias, before;
  bool with_bias;
  kernels::LinearArgs args;
};

}  // namespace duan::test
