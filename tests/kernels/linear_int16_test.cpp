#include "kernels/linear_int16.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <vector>

#include "kernels/linear_product.h"

namespace duan::test {
namespace {

using kernels::LinearInt16Kernel;

constexpr DType kWeightTypes[] = {DType::f32, DType::f16, DType::bf16};
constexpr DType kActivationTypes[] = {DType::f32, DType::bf16};

const LinearInt16Kernel& reference() { return kernels::linear_int16_kernels().back(); }
Run in_float() { return kernels::linear_kernels().back().run; }

std::vector<Shape> odd_shapes(Random& random) {
  std::vector<Shape> shapes;
  for (int i = 0; i < 30; ++i) shapes.push_back({random.whole(1, 20), random.whole(1, 300), random.whole(1, 70)});
  for (int i = 0; i < 5; ++i) shapes.push_back({random.whole(1, 20), random.whole(500, 1700), random.whole(1, 40)});
  shapes.push_back({1, 512, 16});
  shapes.push_back({400, 140, 19});  // more rows than are packed at once
  shapes.push_back({7, 0, 21});
  return shapes;
}

class LinearInt16Kernels : public testing::TestWithParam<size_t> {
 protected:
  const LinearInt16Kernel& kernel() const { return kernels::linear_int16_kernels()[GetParam()]; }
};

TEST_P(LinearInt16Kernels, AgreesWithReferenceOverOddShapesBesideGuardPages) {
  DUAN_NEEDS_ISA(kernel().needs);
  for (const DType weight : kWeightTypes) {
    for (const DType activation : kActivationTypes) {
      constexpr uint32_t kSeed = 20270;
      Random random(kSeed);
      for (const Shape& shape : odd_shapes(random)) {
        const Guard guard = random.chance(0.7) ? Guard::after : Guard::before;
        Product product(shape, weight, activation, random, guard);
        const std::vector<float> actual = product.run(kernel().run, guard), expected = product.run(reference().run);
        // The same codes: what is left is the order of sums in f32.
        ASSERT_LE(nmse(actual, expected), 1e-12)
            << shape.rows << "x" << shape.k << "x" << shape.columns << " " << dtype_name(activation) << " x "
            << dtype_name(weight) << ", seed " << kSeed;
      }
    }
  }
}

TEST_P(LinearInt16Kernels, GivesTheSameBitsForEveryNumberOfRowsAndSplitOfColumns) {
  DUAN_NEEDS_ISA(kernel().needs);
  Random random(7);
  for (const Shape& shape : {Shape{17, 77, 31}, Shape{14, 1300, 9}, Shape{201, 1024, 12}, Shape{7, 33, 200}}) {
    Product product(shape, DType::bf16, DType::f32, random, Guard::after);
    const std::vector<float> together = product.run(kernel().run);
    const std::vector<float> apart = product.run_in_parts(kernel().run, random, 9, 60);
    ASSERT_TRUE(same_bits(together, apart)) << shape.rows << "x" << shape.k << "x" << shape.columns;
  }
}

// Sums as large as they can be: every code of both operands at its end, with one sign or both.
TEST_P(LinearInt16Kernels, DoesNotOverflowAtTheLargestCodes) {
  DUAN_NEEDS_ISA(kernel().needs);
  Random random(11);
  for (const bool signs : {false, true}) {
    Product product({7, 640, 17}, DType::f32, DType::f32, random, Guard::after);
    for (int64_t i = 0; i < 17 * 640; ++i) product.w.set(i, std::nextafter(2.0f, 0.0f));  // its code is 4096
    for (int64_t m = 0; m < 7; ++m) {
      for (int64_t i = 0; i < 640; ++i) product.x.set(m * product.x_stride + i, signs && m % 2 == 1 ? -3.0f : 3.0f);
    }
    const std::vector<float> actual = product.run(kernel().run), expected = product.run(in_float());
    ASSERT_LE(nmse(actual, expected), 1e-12);
  }
}

TEST_P(LinearInt16Kernels, TakesTinyBlocksAsZerosAndLetsNanThrough) {
  DUAN_NEEDS_ISA(kernel().needs);
  Random random(3);
  for (const int64_t k : {1, 31, 128, 200, 700}) {
    Product product({5, k, 9}, DType::bf16, DType::f32, random, Guard::after);
    product.args.bias = nullptr;
    product.args.accumulate = false;
    for (int64_t i = 0; i < k; ++i) {
      product.x.set(i, 1e-36f);
      product.w.set(8 * k + i, -1e-36f);
    }
    product.x.set(2 * product.x_stride + random.whole(0, k - 1), NAN);
    product.x.set(3 * product.x_stride + random.whole(0, k - 1), -INFINITY);
    product.w.set(4 * k + random.whole(0, k - 1), NAN);
    const std::vector<float> actual = product.run(kernel().run), expected = product.run(reference().run);
    ASSERT_LE(nmse(actual, expected), 1e-12) << "k " << k;
    ASSERT_EQ(actual[0], 0.0f);
    ASSERT_EQ(actual[8], 0.0f);
    ASSERT_TRUE(std::isnan(actual[static_cast<size_t>(2 * product.y_stride)]));
    ASSERT_TRUE(std::isnan(actual[static_cast<size_t>(3 * product.y_stride)]));
    ASSERT_TRUE(std::isnan(actual[4]));
  }
}

std::string kernel_name(const testing::TestParamInfo<size_t>& info) {
  return kernels::linear_int16_kernels()[info.param].name;
}
INSTANTIATE_TEST_SUITE_P(All, LinearInt16Kernels, testing::Range<size_t>(0, kernels::linear_int16_kernels().size()),
                         kernel_name);

// The rounding itself, against sums in double of the operands as they are. A normal block's largest value is about 2.4
// standard deviations, so a code of w errs by at most 2.4 / 2048 / sqrt(12) = 3.4e-4 of one, 1.1e-7 squared and half of
// that on average; of bfloat16 only those below a sixteenth of the largest err, an eighth. x adds 7e-9. Rounding x to
// bfloat16 gives 2.8e-6.
TEST(LinearInt16, RoundsFinerThanBfloat16) {
  Random random(5);
  for (const DType weight : {DType::bf16, DType::f32}) {
    Product product({20, 1024, 40}, weight, DType::f32, random, Guard::after);
    product.args.bias = nullptr;
    product.args.accumulate = false;
    const std::vector<float> exact = product.run(in_float()), rounded = product.run(reference().run);
    EXPECT_LE(nmse(rounded, exact), weight == DType::bf16 ? 3e-8 : 1e-7);
  }
}

}  // namespace
}  // namespace duan::test
