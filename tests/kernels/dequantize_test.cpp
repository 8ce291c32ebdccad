#include "kernels/dequantize.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "kernels/kernel_support.h"
#include "kernels/linear.h"

namespace duan::test {
namespace {

using kernels::DequantizeKernel;

struct Layout {
  int bits;            // 0: Int8Channel
  int64_t group_size;  // of IntGroup
  int64_t rows, columns;
};

// A weight of random codes beside guard pages, its codes and scales out of alignment.
struct Stored {
  Stored(const Layout& layout, DType scale_dtype, bool zero_points, Random& random)
      : codes(static_cast<size_t>(layout.bits == 0 ? layout.rows * layout.columns
                                                   : layout.rows * ((layout.columns * layout.bits + 31) / 32) * 4) +
              1),
        scales(layout.rows * (layout.bits == 0 ? 1 : layout.columns / layout.group_size), scale_dtype, random,
               Guard::after, 1),
        points(layout.bits == 0 ? 0
                                : static_cast<size_t>((layout.rows * layout.bits + 31) / 32 *
                                                      (layout.columns / layout.group_size) * 4) +
                                      1) {
    for (std::byte& byte : codes.span()) byte = static_cast<std::byte>(random.whole(0, 255));
    for (std::byte& byte : points.span()) byte = static_cast<std::byte>(random.whole(0, 255));
    const Dense dense{scale_dtype, scales.data()};
    if (layout.bits == 0) {
      weight = {"w", {layout.rows, layout.columns}, Int8Channel{codes.data() + 1, dense, {}}};
    } else {
      weight = {
          "w",
          {layout.rows, layout.columns},
          IntGroup{layout.bits, layout.group_size, codes.data() + 1, dense, zero_points ? points.data() + 1 : nullptr}};
    }
  }
  Guarded<std::byte> codes;
  Operand scales;
  Guarded<std::byte> points;
  Weight weight;
};

std::vector<std::byte> run(const DequantizeKernel& kernel, const Weight& weight, int64_t first, int64_t last,
                           DType dtype) {
  // Rounded up to 64 bytes, which `out` is aligned to; what lies behind the result must stay as it is.
  const size_t bytes = static_cast<size_t>((last - first) * weight.columns()) * dtype_size(dtype);
  Guarded<std::byte> out((bytes + 63) / 64 * 64);
  std::memset(out.data(), 0x5A, out.size());
  kernel.run({&weight, first, last, out.data(), dtype});
  return {out.span().begin(), out.span().end()};
}

class DequantizeKernels : public testing::TestWithParam<size_t> {
 protected:
  const DequantizeKernel& kernel() const { return kernels::dequantize_kernels()[GetParam()]; }
};

constexpr Layout kLayouts[] = {{0, 0, 3, 1},    {0, 0, 5, 31},   {0, 0, 2, 33},      {0, 0, 9, 200},   {0, 0, 1, 1},
                               {4, 8, 3, 8},    {4, 32, 17, 64}, {4, 128, 9, 256},   {4, 2, 5, 16},    {4, 24, 3, 72},
                               {4, 1, 3, 24},   {4, 5, 2, 40},   {4, 1000, 2, 2000}, {4, 2, 2, 1600},  {8, 4, 6, 4},
                               {8, 32, 7, 96},  {8, 12, 5, 36},  {8, 3, 5, 12},      {8, 700, 2, 700}, {8, 1, 3, 600},
                               {4, 264, 1, 264}};

TEST_P(DequantizeKernels, GivesTheBitsOfTheReferenceForEveryLayout) {
  DUAN_NEEDS_ISA(kernel().needs);
  constexpr uint32_t kSeed = 99;
  Random random(kSeed);
  const DequantizeKernel& reference = kernels::dequantize_kernels().back();
  for (const Layout& layout : kLayouts) {
    for (const DType scales : {DType::f32, DType::f16, DType::bf16}) {
      for (const bool zero_points : {false, true}) {
        const Stored stored(layout, scales, zero_points, random);
        for (const DType dtype : {DType::f32, DType::bf16}) {
          const int64_t first = random.whole(0, layout.rows - 1), last = random.whole(first, layout.rows);
          for (const auto& [from, to] : {std::pair{int64_t{0}, layout.rows}, std::pair{first, last}}) {
            ASSERT_EQ(run(kernel(), stored.weight, from, to, dtype), run(reference, stored.weight, from, to, dtype))
                << format_name(stored.weight.format) << ", " << layout.rows << "x" << layout.columns << ", scales "
                << dtype_name(scales) << ", out " << dtype_name(dtype) << ", rows " << from << " to " << to << ", seed "
                << kSeed;
          }
        }
      }
    }
  }
}

TEST_P(DequantizeKernels, AgreesWithTheWeightsOwnConversion) {
  DUAN_NEEDS_ISA(kernel().needs);
  Random random(3);
  for (const Layout& layout : kLayouts) {
    const Stored stored(layout, DType::bf16, true, random);
    const std::vector<std::byte> rows = run(kernel(), stored.weight, 0, layout.rows, DType::f32);
    std::vector<float> expected(static_cast<size_t>(layout.columns));
    for (int64_t row = 0; row < layout.rows; ++row) {
      stored.weight.row_to_float(row, expected.data());
      ASSERT_EQ(std::memcmp(rows.data() + row * layout.columns * 4, expected.data(), expected.size() * 4), 0);
    }
  }
}

std::string kernel_name(const testing::TestParamInfo<size_t>& info) {
  return kernels::dequantize_kernels()[info.param].name;
}
INSTANTIATE_TEST_SUITE_P(All, DequantizeKernels, testing::Range<size_t>(0, kernels::dequantize_kernels().size()),
                         kernel_name);

// ---- linear.h's `row`, which reads codes itself

class LinearRows : public testing::TestWithParam<size_t> {};

TEST_P(LinearRows, GiveTheBitsOfRowsMadePlainFirst) {
  const kernels::LinearKernel& kernel = kernels::linear_kernels()[GetParam()];
  DUAN_NEEDS_ISA(kernel.needs);
  if (kernel.row == nullptr) GTEST_SKIP() << kernel.name << " has none";
  constexpr uint32_t kSeed = 101;
  Random random(kSeed);
  constexpr Layout kRowLayouts[] = {{4, 8, 9, 8},       {4, 32, 7, 2112}, {4, 128, 17, 1024}, {4, 2400, 3, 2400},
                                    {4, 1000, 5, 4000}, {8, 8, 4, 1032},  {8, 40, 5, 120},    {0, 0, 6, 1096},
                                    {0, 0, 1, 8},       {4, 24, 2, 3096}};
  for (const Layout& layout : kRowLayouts) {
    for (const DType scales : {DType::f32, DType::f16, DType::bf16}) {
      for (const bool zero_points : {false, true}) {
        const Stored stored(layout, scales, zero_points, random);
        Operand x(3 * layout.columns, DType::f32, random), bias(layout.rows, DType::f32, random);
        const std::vector<std::byte> plain =
            run(kernels::dequantize_kernels().back(), stored.weight, 0, layout.rows, DType::f32);
        std::vector<float> whole(static_cast<size_t>(3 * layout.rows), 0.25f), row = whole;
        kernels::LinearArgs args = {.x = x.data(),
                                    .x_dtype = DType::f32,
                                    .x_stride = layout.columns,
                                    .w = plain.data(),
                                    .w_dtype = DType::f32,
                                    .bias = random.chance(0.5) ? reinterpret_cast<float*>(bias.data()) : nullptr,
                                    .y = whole.data(),
                                    .y_stride = layout.rows,
                                    .rows = 3,
                                    .first = 0,
                                    .last = layout.rows,
                                    .k = layout.columns,
                                    .accumulate = random.chance(0.5)};
        kernel.run(args);
        args.w = nullptr;
        args.rows = 1;
        for (int64_t m = 0; m < 3; ++m) {
          args.x = x.data() + m * layout.columns * 4;
          args.y = row.data() + m * layout.rows;
          for (args.first = 0; args.first < layout.rows; args.first = args.last) {
            args.last = std::min(layout.rows, args.first + random.whole(1, 9));
            kernel.row(args, kernels::code_groups(stored.weight));
          }
        }
        ASSERT_TRUE(same_bits(row, whole)) << format_name(stored.weight.format) << ", " << layout.rows << "x"
                                           << layout.columns << ", scales " << dtype_name(scales) << ", seed " << kSeed;
      }
    }
  }
}

std::string linear_name(const testing::TestParamInfo<size_t>& info) {
  return kernels::linear_kernels()[info.param].name;
}
INSTANTIATE_TEST_SUITE_P(All, LinearRows, testing::Range<size_t>(0, kernels::linear_kernels().size()), linear_name);

TEST(DequantizeSelection, RunsTheKernelThatTheEnvironmentForces) {
  setenv("DUAN_KERNEL", "dequantize:ref", 1);
  EXPECT_STREQ(kernels::select_dequantize().name, "ref");
  EXPECT_EQ(kernels::explain_dequantize().front().reason, "DUAN_KERNEL forces another");
  setenv("DUAN_KERNEL", "dequantize:fastest", 1);
  EXPECT_THROW(kernels::select_dequantize(), Error);
  unsetenv("DUAN_KERNEL");
}

}  // namespace
}  // namespace duan::test
