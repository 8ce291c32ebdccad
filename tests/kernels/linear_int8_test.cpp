#include "kernels/linear_int8.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "kernels/kernel_support.h"
#include "kernels/unroll.h"

namespace duan::kernels {
namespace emulated_avx512_vnni {
namespace {
// clang-format off
#include "kernels/emulated_vnni.h"
#include "kernels/linear_int8_avx512_vnni.inc"
#include "kernels/linear_int8_tiles.inc"
// clang-format on
void run(const LinearInt8Args& args) noexcept { multiply_in_int32(args); }
}  // namespace
}  // namespace emulated_avx512_vnni
namespace emulated_avx_vnni {
namespace {
// clang-format off
#include "kernels/emulated_vnni.h"
#include "kernels/linear_int8_avx_vnni.inc"
#include "kernels/linear_int8_tiles.inc"
// clang-format on
void run(const LinearInt8Args& args) noexcept { multiply_in_int32(args); }
}  // namespace
}  // namespace emulated_avx_vnni
}  // namespace duan::kernels

namespace duan::test {
namespace {

using kernels::LinearInt8Args;
using kernels::LinearInt8Kernel;

const LinearInt8Kernel& reference() { return kernels::linear_int8_kernels().back(); }

// The list, then the kernels whose instructions are emulated.
std::vector<LinearInt8Kernel> tested_kernels() {
  const auto list = kernels::linear_int8_kernels();
  std::vector<LinearInt8Kernel> all(list.begin(), list.end());
  all.push_back({"emulated_avx512_vnni", Isa::plain, reference().round_input, kernels::emulated_avx512_vnni::run});
  all.push_back({"emulated_avx_vnni", Isa::plain, reference().round_input, kernels::emulated_avx_vnni::run});
  return all;
}

struct Shape {
  int64_t rows, k, columns;
};

enum class Codes { random, lowest, highest, ends };

int8_t code(Codes codes, Random& random) {
  switch (codes) {
    case Codes::random:
      break;
    case Codes::lowest:
      return -128;
    case Codes::highest:
      return 127;
    case Codes::ends:
      return random.chance(0.5) ? -128 : 127;
  }
  return static_cast<int8_t>(random.whole(-128, 127));
}

// Operands of one product beside guard pages, and y with an unused column at the end of each row.
struct Product {
  Product(const Shape& sizes, Codes x_codes, Codes w_codes, int32_t zero_point, Random& random,
          Guard guard = Guard::after)
      : shape(sizes),
        y_stride(sizes.columns + 1),
        shift(random.whole(0, 3)),
        x(static_cast<size_t>(sizes.rows * sizes.k), guard),
        w(static_cast<size_t>(sizes.columns * sizes.k + shift), guard),
        x_scales(sizes.rows, DType::f32, random, guard),
        w_scales(sizes.columns, DType::f32, random, guard),
        bias(sizes.columns, DType::f32, random, guard),
        before(sizes.rows * y_stride, DType::f32, random) {
    for (int8_t& c : x.span()) c = code(x_codes, random);
    for (std::byte& c : w.span()) c = static_cast<std::byte>(code(w_codes, random));
    args = {.x = x.data(),
            .x_scales = reinterpret_cast<const float*>(x_scales.data()),
            .x_zero_point = zero_point,
            .w = w.data(),
            .w_scales = reinterpret_cast<const float*>(w_scales.data()),
            .bias = random.chance(0.5) ? reinterpret_cast<const float*>(bias.data()) : nullptr,
            .y = nullptr,
            .y_stride = y_stride,
            .rows = sizes.rows,
            .first = 0,
            .last = sizes.columns,
            .k = sizes.k,
            .accumulate = random.chance(0.5)};
  }

  std::vector<float> initial() {
    std::vector<float> y(static_cast<size_t>(shape.rows * y_stride));
    std::memcpy(y.data(), before.data(), y.size() * sizeof(float));
    return y;
  }
  std::vector<float> run(const LinearInt8Kernel& kernel, int64_t first, int64_t last) {
    // The last row's unused column is left out, so that a store past the last result meets the guard.
    const size_t count = static_cast<size_t>(shape.rows * y_stride - 1);
    Guarded<float> y(count);
    std::memcpy(y.data(), before.data(), count * sizeof(float));
    LinearInt8Args copy = args;
    copy.y = y.data();
    copy.first = first;
    copy.last = last;
    kernel.run(copy);
    std::vector<float> result = initial();
    std::memcpy(result.data(), y.data(), count * sizeof(float));
    return result;
  }

  Shape shape;
  int64_t y_stride, shift;
  Guarded<int8_t> x;
  Guarded<std::byte> w;
  Operand x_scales, w_scales, bias, before;
  LinearInt8Args args;
};

std::vector<Shape> odd_shapes(Random& random) {
  std::vector<Shape> shapes;
  for (const int64_t k : {0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129}) {
    for (const int64_t rows : {1, 2, 3, 4, 5, 6, 7, 13}) shapes.push_back({rows, k, random.whole(1, 11)});
  }
  for (int i = 0; i < 30; ++i) shapes.push_back({random.whole(1, 20), random.whole(1, 300), random.whole(1, 40)});
  shapes.push_back({8, 2500, 7});   // more than one block of k
  shapes.push_back({1, 40000, 3});  // more of x than is packed at once
  shapes.push_back({6, 11000, 2});
  shapes.push_back({7, 70, 530});  // more columns than a block
  shapes.push_back({1, 1, 1});
  return shapes;
}

class LinearInt8Kernels : public testing::TestWithParam<size_t> {
 protected:
  LinearInt8Kernel kernel() const { return tested_kernels()[GetParam()]; }
};

TEST_P(LinearInt8Kernels, GivesTheBitsOfTheReferenceOverOddShapesBesideGuardPages) {
  DUAN_NEEDS_ISA(kernel().needs);
  constexpr uint32_t kSeed = 811;
  Random random(kSeed);
  for (const Shape& shape : odd_shapes(random)) {
    const int32_t zero_point = random.chance(0.5) ? 0 : static_cast<int32_t>(random.whole(-128, 127));
    const Guard guard = random.chance(0.7) ? Guard::after : Guard::before;
    Product product(shape, Codes::random, Codes::random, zero_point, random, guard);
    const std::string text = fmt::format("{}x{}x{}, seed {}", shape.rows, shape.k, shape.columns, kSeed);
    ASSERT_TRUE(same_bits(product.run(kernel(), 0, shape.columns), product.run(reference(), 0, shape.columns))) << text;
    const int64_t first = random.whole(0, shape.columns), last = random.whole(first, shape.columns);
    ASSERT_TRUE(same_bits(product.run(kernel(), first, last), product.run(reference(), first, last)))
        << text << ", columns " << first << " to " << last;
  }
}

TEST_P(LinearInt8Kernels, IsExactWhereEveryCodeIsAtAnEndOfItsRange) {
  DUAN_NEEDS_ISA(kernel().needs);
  Random random(5);
  for (const Codes x : {Codes::lowest, Codes::highest, Codes::ends}) {
    for (const Codes w : {Codes::lowest, Codes::highest, Codes::ends}) {
      for (const int32_t zero_point : {0, -128, 127}) {
        for (const Shape& shape : {Shape{1, 100, 5}, Shape{7, 129, 6}, Shape{2, kernels::kMaxInt8Columns, 2}}) {
          Product product(shape, x, w, zero_point, random);
          ASSERT_TRUE(same_bits(product.run(kernel(), 0, shape.columns), product.run(reference(), 0, shape.columns)))
              << static_cast<int>(x) << " x " << static_cast<int>(w) << ", zero point " << zero_point << ", k "
              << shape.k;
        }
      }
    }
  }
}

TEST_P(LinearInt8Kernels, LetsAScaleThatIsNanThrough) {
  DUAN_NEEDS_ISA(kernel().needs);
  Random random(6);
  Product product({3, 40, 5}, Codes::random, Codes::random, 0, random);
  product.x_scales.set(1, NAN);
  const std::vector<float> y = product.run(kernel(), 0, 5);
  for (size_t n = 0; n < 5; ++n) {
    EXPECT_TRUE(std::isnan(y[static_cast<size_t>(product.y_stride) + n]));
    EXPECT_FALSE(std::isnan(y[n]));
  }
}

// ---- rounding of inputs

struct Rounded {
  std::vector<int8_t> codes;
  std::vector<float> scales;
};

Rounded round_with(const LinearInt8Kernel& kernel, const float* x, int64_t stride, int64_t rows, int64_t k,
                   const InputScheme& scheme) {
  Guarded<int8_t> codes(static_cast<size_t>(rows * k));
  Guarded<float> scales(static_cast<size_t>(rows));
  kernel.round_input({x, stride, rows, k, scheme, codes.data(), scales.data()});
  return {{codes.span().begin(), codes.span().end()}, {scales.span().begin(), scales.span().end()}};
}

const std::vector<InputScheme>& schemes() {
  static const std::vector<InputScheme> all = {{InputRounding::dynamic, 0, 0},     {InputRounding::fixed, 0.02f, 0},
                                               {InputRounding::fixed, 0.5f, -128}, {InputRounding::fixed, 0.5f, 127},
                                               {InputRounding::fixed, 1e-30f, 3},  {InputRounding::fixed, 1e30f, -7}};
  return all;
}

TEST_P(LinearInt8Kernels, RoundsRowsToTheCodesAndScalesOfTheReference) {
  DUAN_NEEDS_ISA(kernel().needs);
  Random random(812);
  for (const InputScheme& scheme : schemes()) {
    for (const int64_t k : {0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 100, 2048, 2051}) {
      const int64_t rows = random.whole(1, 5), stride = k + random.whole(0, 2);
      Guarded<float> x(static_cast<size_t>((rows - 1) * stride + k));
      // Halves of the scale 0.5 meet the rule for ties; sizes differ by row.
      for (size_t i = 0; i < x.size(); ++i) {
        const float size = std::pow(10.0f, static_cast<float>(i) / static_cast<float>(stride + 1) * 9 - 20);
        x[i] = random.chance(0.3) ? static_cast<float>(random.whole(-300, 300)) * 0.25f
                                  : random.normal() * (random.chance(0.5) ? 3.0f : size);
      }
      const Rounded actual = round_with(kernel(), x.data(), stride, rows, k, scheme);
      const Rounded expected = round_with(reference(), x.data(), stride, rows, k, scheme);
      ASSERT_EQ(actual.codes, expected.codes) << "k " << k << ", scale " << scheme.scale;
      ASSERT_TRUE(same_bits(actual.scales, expected.scales)) << "k " << k << ", scale " << scheme.scale;
    }
  }
}

TEST_P(LinearInt8Kernels, RoundsSpecialNumbersAsTheReferenceDoes) {
  DUAN_NEEDS_ISA(kernel().needs);
  for (const InputScheme& scheme : schemes()) {
    for (const float special : {NAN, -NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-45f, -1e-40f, 0.0f, -0.0f}) {
      for (const size_t place : {0, 5, 17, 18}) {
        for (const float others : {0.0f, 1e-42f, 1.5f}) {
          Guarded<float> x(19);
          for (float& v : x.span()) v = others;
          x[place] = special;
          const Rounded actual = round_with(kernel(), x.data(), 19, 1, 19, scheme);
          const Rounded expected = round_with(reference(), x.data(), 19, 1, 19, scheme);
          ASSERT_EQ(actual.codes, expected.codes) << special << " among " << others << ", scale " << scheme.scale;
          ASSERT_EQ(std::isnan(actual.scales[0]), std::isnan(expected.scales[0])) << special;
          if (!std::isnan(expected.scales[0])) {
            ASSERT_EQ(actual.scales[0], expected.scales[0]) << special;
          }
        }
      }
    }
  }
}

std::string kernel_name(const testing::TestParamInfo<size_t>& info) { return tested_kernels()[info.param].name; }
INSTANTIATE_TEST_SUITE_P(All, LinearInt8Kernels, testing::Range<size_t>(0, tested_kernels().size()), kernel_name);

TEST(LinearInt8Selection, RunsTheKernelThatTheEnvironmentForcesAndExplainsTheOthers) {
  setenv("DUAN_KERNEL", "linear_int8:plain", 1);
  EXPECT_STREQ(kernels::select_linear_int8().name, "plain");
  const auto rejections = kernels::explain_linear_int8();
  ASSERT_EQ(rejections.size(), kernels::linear_int8_kernels().size() - 1);
  EXPECT_EQ(rejections.back().reason, "plain comes first");
  setenv("DUAN_KERNEL", "linear_int8:fastest", 1);
  EXPECT_THROW(kernels::select_linear_int8(), Error);
  unsetenv("DUAN_KERNEL");
}

}  // namespace
}  // namespace duan::test
