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

// Those for causal attention over any cache; the only other one is tested below.
std::vector<AttentionKernel> causal_kernels() {
  std::vector<AttentionKernel> found;
  for (const AttentionKernel& kernel : kernels::attention_kernels()) {
    if (kernel.fits(DType::bf16, 64, true)) found.push_back(kernel);
  }
  return found;
}

class AttentionKernels : public testing::TestWithParam<AttentionKernel> {
 protected:
  const AttentionKernel& kernel() const { return GetParam(); }
};

TEST_P(AttentionKernels, AgreesWithReferenceOverOddShapesBesideGuardPages) {
  DUAN_NEEDS_ISA(kernel().needs);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    constexpr uint32_t kSeed = 511;
    Random random(kSeed);
    for (const Shape& shape : odd_shapes(random)) {
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

INSTANTIATE_TEST_SUITE_P(All, AttentionKernels, testing::ValuesIn(causal_kernels()),
                         [](const auto& instance) { return std::string(instance.param.name); });

// Of all rows to all positions, with queries and weights rounded to bf16.
class PairsKernel : public testing::Test {
 protected:
  void SetUp() override {
#if defined(__x86_64__)
    kernel_ = kernels::attention_kernels().front();
    ASSERT_STREQ(kernel_.name, "avx512_bf16");
    DUAN_NEEDS_ISA(kernel_.needs);
#else
    GTEST_SKIP() << "of x86 processors";
#endif
  }

  static std::vector<float> run(const AttentionKernel& kernel, Context& context, int64_t first, int64_t last) {
    const Shape& shape = context.shape;
    const int64_t width = shape.heads * shape.head_dim;
    Guarded<float> scratch(static_cast<size_t>(kernels::attention_scratch_floats(shape.head_dim)));
    for (float& value : scratch.span()) value = NAN;
    std::vector<float> out(static_cast<size_t>((last - first) * width));
    kernel.run({reinterpret_cast<const float*>(context.queries.data()) + first * width, width, shape.head_dim,
                last - first, shape.heads, 0, 1 / std::sqrt(static_cast<float>(shape.head_dim)), context.kv, out.data(),
                DType::f32, width, shape.head_dim, scratch.data(), context.positions});
    return out;
  }

  AttentionKernel kernel_{};
};

TEST_F(PairsKernel, TakesOnlyWhatItCanDo) {
  EXPECT_TRUE(kernel_.fits(DType::bf16, 72, false));
  EXPECT_FALSE(kernel_.fits(DType::bf16, 72, true));
  EXPECT_FALSE(kernel_.fits(DType::bf16, 71, false));
  EXPECT_FALSE(kernel_.fits(DType::f32, 72, false));
}

TEST_F(PairsKernel, AgreesWithReferenceOverOddShapesBesideGuardPages) {
  constexpr uint32_t kSeed = 77;
  Random random(kSeed);
  std::vector<Shape> shapes = {{64, 1, 0, 300}, {72, 1, 0, 131}, {2, 1, 0, 1}, {80, 2, 0, 16}, {128, 3, 0, 145}};
  for (int i = 0; i < 25; ++i) {
    shapes.push_back({2 * random.whole(1, 70), random.whole(1, 4), 0, random.whole(1, 290)});
  }
  for (const Shape& shape : shapes) {
    Context context(shape, DType::bf16, random, random.chance(0.7) ? Guard::after : Guard::before);
    // Weights are off by 2^-9 at most, 2^-9 / sqrt(3) as a rule; scores of about 1, being sums of many such products,
    // by as much again: 2.6e-6 together.
    ASSERT_LE(nmse(run(kernel_, context, 0, shape.rows), run(reference(), context, 0, shape.rows)), 1e-5)
        << "head_dim " << shape.head_dim << ", heads " << shape.heads << ", rows " << shape.rows << ", seed " << kSeed;
  }
}

TEST_F(PairsKernel, GivesTheSameBitsHoweverRowsAreDivided) {
  Random random(12);
  for (const Shape& shape : {Shape{64, 2, 0, 170}, Shape{72, 1, 0, 150}}) {
    Context context(shape, DType::bf16, random, Guard::after);
    const std::vector<float> together = run(kernel_, context, 0, shape.rows);
    std::vector<float> apart;
    for (int64_t row = 0; row < shape.rows;) {
      const int64_t last = std::min(shape.rows, row + random.whole(1, 20));
      const std::vector<float> part = run(kernel_, context, row, last);
      apart.insert(apart.end(), part.begin(), part.end());
      row = last;
    }
    ASSERT_TRUE(same_bits(together, apart)) << "head_dim " << shape.head_dim;
  }
}

TEST_F(PairsKernel, SurvivesScoresFarApart) {
  Random random(9);
  Context context({16, 1, 0, 200}, DType::bf16, random, Guard::after);
  for (int64_t i = 0; i < 200 * 16; ++i) context.queries.set(i, context.queries.at(i) * 1e4f);
  const std::vector<float> out = run(kernel_, context, 0, 200);
  // One key wins by far, as a rule the one that wins in fp32.
  for (const float value : out) ASSERT_TRUE(std::isfinite(value));
  EXPECT_LE(nmse(out, run(reference(), context, 0, 200)), 0.05);
}

}  // namespace
}  // namespace duan::test
