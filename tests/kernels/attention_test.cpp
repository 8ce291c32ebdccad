#include "kernels/attention.h"

#include <gtest/gtest.h>

#include <bit>
#include <vector>

#include "kernels/kernel_support.h"

namespace duan::test {
namespace {

using kernels::AttentionArgs;
using kernels::AttentionKernel;
using kernels::KvView;

const AttentionKernel& reference() { return kernels::attention_kernels().back(); }

struct Shape {
  int64_t head_dim, heads, past, rows;
};

// A cache of past + rows positions (what lies beyond is NaN, as memory may be) and queries for the last `rows`.
struct Context {
  Context(const Shape& sizes, DType dtype, Random& random, Guard guard)
      : shape(sizes),
        positions(shape.past + shape.rows),
        capacity((positions + 15) / 16 * 16),
        keys(capacity * shape.head_dim, dtype, random, guard),
        values(capacity * shape.head_dim, dtype, random, guard),
        queries(shape.rows * shape.heads * shape.head_dim, DType::f32, random, guard),
        kv{dtype, keys.data(), values.data(), capacity, shape.head_dim} {
    for (int64_t i = 0; i < capacity * shape.head_dim; ++i) {
      keys.set(i, NAN);
      values.set(i, NAN);
    }
    std::vector<float> key(static_cast<size_t>(shape.head_dim)), value(key.size());
    for (int64_t p = 0; p < positions; ++p) {
      for (float& v : key) v = random.normal();
      for (float& v : value) v = random.normal();
      kernels::store_kv(kv, p, key.data(), value.data());
    }
  }

  // Rows [first, last), heads [0, heads), into their place in out.
  void run(const AttentionKernel& kernel, int64_t first, int64_t last, DType out_dtype, std::byte* out) {
    const size_t floats = static_cast<size_t>(kernels::attention_scratch_floats(shape.head_dim));
    Guarded<float> scratch(floats);
    for (float& value : scratch.span()) value = NAN;
    const int64_t stride = shape.heads * shape.head_dim;
    kernel.run({reinterpret_cast<const float*>(queries.data()) + first * stride, stride, shape.head_dim, last - first,
                shape.heads, shape.past + first, 1 / std::sqrt(static_cast<float>(shape.head_dim)), kv,
                out + first * stride * static_cast<int64_t>(dtype_size(out_dtype)), out_dtype, stride, shape.head_dim,
                scratch.data()});
  }
  std::vector<float> run(const AttentionKernel& kernel, DType out_dtype = DType::f32) {
    const int64_t count = shape.rows * shape.heads * shape.head_dim;
    Guarded<std::byte> out(static_cast<size_t>(count) * dtype_size(out_dtype));
    run(kernel, 0, shape.rows, out_dtype, out.data());
    std::vector<float> result;
    for (int64_t i = 0; i < count; ++i) result.push_back(kernels::load_float(out.data(), out_dtype, i));
    return result;
  }

  Shape shape;
  int64_t positions, capacity;
  Operand keys, values, queries;
  KvView kv;
};

std::vector<Shape> odd_shapes(Random& random) {
  std::vector<Shape> shapes;
  for (const int64_t head_dim : {8, 16, 24, 32, 64, 128}) {
    shapes.push_back({head_dim, 2, 0, 1});
    shapes.push_back({head_dim, random.whole(1, 4), random.whole(0, 150), random.whole(1, 40)});
    shapes.push_back({head_dim, 2, random.whole(300, 600), 1});
  }
  for (int i = 0; i < 20; ++i) {
    shapes.push_back({random.whole(1, 130), random.whole(1, 8), random.whole(0, 140), random.whole(1, 9)});
  }
  return shapes;
}

class AttentionKernels : public testing::TestWithParam<size_t> {
 protected:
  const AttentionKernel& kernel() const { return kernels::attention_kernels()[GetParam()]; }
};

TEST_P(AttentionKernels, AgreesWithReferenceOverOddShapesBesideGuardPages) {
  DUAN_NEEDS_ISA(kernel().needs);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    constexpr uint32_t kSeed = 511;
    Random random(kSeed);
    for (const Shape& shape : odd_shapes(random)) {
      ASSERT_TRUE(kernel().fits(dtype, shape.head_dim));
      Context context(shape, dtype, random, random.chance(0.7) ? Guard::after : Guard::before);
      ASSERT_LE(nmse(context.run(kernel()), context.run(reference())), 1e-10)
          << "head_dim " << shape.head_dim << ", heads " << shape.heads << ", past " << shape.past << ", rows "
          << shape.rows << ", seed " << kSeed;
    }
  }
}

TEST_P(AttentionKernels, GivesTheSameBitsForEveryChunking) {
  DUAN_NEEDS_ISA(kernel().needs);
  Random random(5);
  for (const Shape& shape : {Shape{128, 2, 50, 60}, Shape{24, 3, 0, 90}, Shape{20, 1, 63, 70}, Shape{64, 8, 130, 12}}) {
    Context context(shape, DType::bf16, random, Guard::after);
    const std::vector<float> together = context.run(kernel());
    std::vector<float> apart(together.size());
    for (int64_t row = 0; row < shape.rows;) {
      const int64_t last = std::min(shape.rows, row + random.whole(1, 5));
      context.run(kernel(), row, last, DType::f32, reinterpret_cast<std::byte*>(apart.data()));
      row = last;
    }
    ASSERT_TRUE(same_bits(together, apart)) << "head_dim " << shape.head_dim << ", heads " << shape.heads;
  }
}

TEST_P(AttentionKernels, OfAllPositionsIsWhatTheLastRowSeesCausally) {
  DUAN_NEEDS_ISA(kernel().needs);
  Random random(7);
  for (const Shape& shape : {Shape{64, 1, 0, 90}, Shape{72, 1, 0, 131}, Shape{24, 2, 0, 65}, Shape{8, 3, 0, 1}}) {
    Context context(shape, DType::f32, random, Guard::after);
    const int64_t width = shape.heads * shape.head_dim;
    const float* queries = reinterpret_cast<const float*>(context.queries.data());
    const auto run = [&](const AttentionKernel& chosen, int64_t first, int64_t rows, int64_t at, int64_t positions) {
      Guarded<float> scratch(static_cast<size_t>(kernels::attention_scratch_floats(shape.head_dim)));
      std::vector<float> out(static_cast<size_t>(rows * width));
      chosen.run({queries + first * width, width, shape.head_dim, rows, shape.heads, at,
                  1 / std::sqrt(static_cast<float>(shape.head_dim)), context.kv, out.data(), DType::f32, width,
                  shape.head_dim, scratch.data(), positions});
      return out;
    };
    const std::vector<float> all = run(kernel(), 0, shape.rows, 0, context.positions);
    ASSERT_LE(nmse(all, run(reference(), 0, shape.rows, 0, context.positions)), 1e-10);
    for (int64_t row = 0; row < shape.rows; ++row) {
      const std::vector<float> causal = run(kernel(), row, 1, context.positions - 1, 0);
      ASSERT_TRUE(same_bits(std::span(all).subspan(static_cast<size_t>(row * width), causal.size()), causal)) << row;
    }
  }
}

TEST_P(AttentionKernels, RoundsItsResultToBf16) {
  DUAN_NEEDS_ISA(kernel().needs);
  Random random(6);
  Context context({40, 2, 9, 5}, DType::f32, random, Guard::after);
  std::vector<float> expected = context.run(kernel());
  for (float& value : expected) value = bf16_to_float(float_to_bf16(value));
  EXPECT_TRUE(same_bits(context.run(kernel(), DType::bf16), expected));
}

TEST_P(AttentionKernels, KeepsSpecialValuesOfLaterPositionsOut) {
  DUAN_NEEDS_ISA(kernel().needs);
  Random random(8);
  Context context({32, 2, 20, 8}, DType::f32, random, Guard::after);
  const std::vector<float> clean = context.run(kernel());
  // Position 24 is seen by rows 4 and later only.
  const std::vector<float> key(32, std::bit_cast<float>(0x7FFFFFFFu)), value(32, INFINITY);  // a NaN of all ones
  kernels::store_kv(context.kv, 24, key.data(), value.data());
  const std::vector<float> poisoned = context.run(kernel());
  const size_t before = 4 * 2 * 32;
  EXPECT_TRUE(same_bits(std::span(clean).first(before), std::span(poisoned).first(before)));
  for (size_t i = before; i < poisoned.size(); ++i) ASSERT_TRUE(std::isnan(poisoned[i])) << i;
}

TEST_P(AttentionKernels, SurvivesScoresFarApart) {
  DUAN_NEEDS_ISA(kernel().needs);
  Random random(9);
  Context context({16, 1, 200, 3}, DType::f32, random, Guard::after);
  for (int64_t i = 0; i < 3 * 16; ++i) context.queries.set(i, context.queries.at(i) * 1e4f);
  // One key wins by far; the weights of the others vanish.
  EXPECT_LE(nmse(context.run(kernel()), context.run(reference())), 1e-7);
}

std::string kernel_name(const testing::TestParamInfo<size_t>& info) {
  return kernels::attention_kernels()[info.param].name;
}
INSTANTIATE_TEST_SUITE_P(All, AttentionKernels, testing::Range<size_t>(0, kernels::attention_kernels().size()),
                         kernel_name);

}  // namespace
}  // namespace duan::test
