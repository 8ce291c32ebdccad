#include "kernels/linear.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "kernels/linear_product.h"

namespace duan::test {
namespace {

using kernels::LinearKernel;

constexpr DType kWeightTypes[] = {DType::f32, DType::f16, DType::bf16};
constexpr DType kActivationTypes[] = {DType::f32, DType::bf16};

const LinearKernel& reference() { return kernels::linear_kernels().back(); }

std::vector<Shape> odd_shapes(Random& random) {
  std::vector<Shape> shapes;
  for (int i = 0; i < 60; ++i) shapes.push_back({random.whole(1, 17), random.whole(1, 130), random.whole(1, 70)});
  for (int i = 0; i < 6; ++i) shapes.push_back({random.whole(1, 17), random.whole(1000, 3100), random.whole(1, 9)});
  shapes.push_back({1, 4096, 5});  // whole blocks of k
  shapes.push_back({13, 1024, 6});
  shapes.push_back({9, 200, 1100});  // more columns than stay in the cache together
  shapes.push_back({1, 20000, 3});   // more of x than is packed at once
  shapes.push_back({2, 0, 7});
  return shapes;
}

class LinearKernels : public testing::TestWithParam<size_t> {
 protected:
  const LinearKernel& kernel() const { return kernels::linear_kernels()[GetParam()]; }
};

TEST_P(LinearKernels, AgreesWithReferenceOverOddShapesBesideGuardPages) {
  DUAN_NEEDS_ISA(kernel().needs);
  for (const DType weight : kWeightTypes) {
    for (const DType activation : kActivationTypes) {
      if (!kernel().fits(weight, activation)) continue;
      constexpr uint32_t kSeed = 20240;
      Random random(kSeed);
      for (const Shape& shape : odd_shapes(random)) {
        const Guard guard = random.chance(0.7) ? Guard::after : Guard::before;
        Product product(shape, weight, activation, random, guard);
        const std::vector<float> actual = product.run(kernel().run, guard), expected = product.run(reference().run);
        ASSERT_LE(nmse(actual, expected), 1e-10)
            << shape.rows << "x" << shape.k << "x" << shape.columns << " " << dtype_name(activation) << " x "
            << dtype_name(weight) << ", seed " << kSeed;
      }
    }
  }
}

TEST_P(LinearKernels, GivesTheSameBitsForEveryNumberOfRowsAndSplitOfColumns) {
  DUAN_NEEDS_ISA(kernel().needs);
  for (const DType weight : kWeightTypes) {
    for (const DType activation : kActivationTypes) {
      if (!kernel().fits(weight, activation)) continue;
      Random random(7);
      for (const Shape& shape : {Shape{17, 77, 31}, Shape{14, 2500, 9}, Shape{8, 1024, 12}, Shape{7, 33, 1030}}) {
        Product product(shape, weight, activation, random, Guard::after);
        const std::vector<float> together = product.run(kernel().run);
        const std::vector<float> apart = product.run_in_parts(kernel().run, random, 3, 300);
        ASSERT_TRUE(same_bits(together, apart)) << shape.rows << "x" << shape.k << "x" << shape.columns;
      }
    }
  }
}

TEST_P(LinearKernels, LetsNanThrough) {
  DUAN_NEEDS_ISA(kernel().needs);
  for (const DType weight : kWeightTypes) {
    for (const DType activation : kActivationTypes) {
      if (!kernel().fits(weight, activation)) continue;
      Random random(3);
      for (const int64_t k : {1, 31, 32, 33, 100}) {
        Product product({5, k, 9}, weight, activation, random, Guard::after);
        product.x.set(2 * product.x_stride + random.whole(0, k - 1), NAN);
        product.w.set(4 * k + random.whole(0, k - 1), NAN);
        const std::vector<float> actual = product.run(kernel().run), expected = product.run(reference().run);
        ASSERT_LE(nmse(actual, expected), 1e-10) << "k " << k;
        ASSERT_TRUE(std::isnan(actual[static_cast<size_t>(2 * product.y_stride)]));
        ASSERT_TRUE(std::isnan(actual[4]));
      }
    }
  }
}

std::string kernel_name(const testing::TestParamInfo<size_t>& info) {
  return kernels::linear_kernels()[info.param].name;
}
INSTANTIATE_TEST_SUITE_P(All, LinearKernels, testing::Range<size_t>(0, kernels::linear_kernels().size()), kernel_name);

// Sets a variable of the environment for the length of a test.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Variable() { unsetenv(name_); }

 private:
  const char* name_;
};

TEST(LinearSelection, RunsTheKernelThatTheEnvironmentForces) {
  const Variable variable("DUAN_KERNEL", "attention:plain,linear:ref");
  EXPECT_STREQ(kernels::select_linear(DType::bf16, DType::f32).name, "ref");
}

TEST(LinearSelection, StaysBelowTheInstructionSetTheUserCaps) {
  const Variable variable("DUAN_ISA", "plain");
  EXPECT_STREQ(kernels::select_linear(DType::bf16, DType::bf16).name, "plain");
}

TEST(LinearSelection, ExplainsEveryKernelItDidNotChoose) {
  const Variable variable("DUAN_ISA", "plain");
  const auto rejections = kernels::explain_linear(DType::f32, DType::f32);
  ASSERT_EQ(rejections.size(), kernels::linear_kernels().size() - 1);
  EXPECT_EQ(rejections.back().name, "ref");
  EXPECT_EQ(rejections.back().reason, "plain comes first");
  if (rejections.front().name == "avx512_bf16") {
    EXPECT_EQ(rejections.front().reason, "does not take F32 weights with F32 activations");
  }
}

TEST(LinearSelection, RefusesAnUnknownKernelAndAnUnusableOne) {
  {
    const Variable variable("DUAN_KERNEL", "linear:fastest");
    EXPECT_THROW(kernels::select_linear(DType::f32, DType::f32), Error);
  }
  {
    const Variable variable("DUAN_KERNEL", "linear");
    EXPECT_THROW(kernels::select_linear(DType::f32, DType::f32), Error);
  }
  if (std::string_view(kernels::linear_kernels()[0].name) == "avx512_bf16") {
    const Variable variable("DUAN_KERNEL", "linear:avx512_bf16");
    EXPECT_THROW(kernels::select_linear(DType::f32, DType::f32), Error);
  }
  EXPECT_THROW(kernels::select_linear(DType::i32, DType::f32), Error);
}

}  // namespace
}  // namespace duan::test
