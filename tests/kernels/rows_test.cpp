#include "kernels/rows.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "kernels/kernel_support.h"

namespace duan::test {
namespace {

using kernels::RowsKernel;

const RowsKernel& reference() { return kernels::rows_kernels().back(); }

std::vector<float> normals(int64_t count, Random& random) {
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = random.normal();
  return values;
}

class RowsKernels : public testing::TestWithParam<size_t> {
 protected:
  const RowsKernel& kernel() const { return kernels::rows_kernels()[GetParam()]; }
};

float* floats(Operand& operand) { return reinterpret_cast<float*>(operand.data()); }

std::vector<float> stored(const Guarded<std::byte>& out, DType dtype) {
  std::vector<float> values;
  for (size_t i = 0; i < out.size() / dtype_size(dtype); ++i) {
    values.push_back(kernels::load_float(out.data(), dtype, static_cast<int64_t>(i)));
  }
  return values;
}

// bf16 results may differ from the reference's by one rounding where a value lies near the middle.
double limit(DType out) { return out == DType::f32 ? 1e-12 : 1e-7; }

TEST_P(RowsKernels, NormalisesEveryLength) {
  DUAN_NEEDS_ISA(kernel().needs);
  Random random(1);
  for (int64_t n = 1; n <= 140; ++n) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const int64_t rows = 3, groups = random.whole(1, 4), stride = groups * n;
      Operand x(rows * stride, DType::f32, random), weight(n, DType::f32, random);
      const auto run = [&](const RowsKernel& chosen) {
        Guarded<std::byte> out(static_cast<size_t>(rows * stride) * dtype_size(dtype));
        chosen.rms_norm({floats(x), stride, rows, groups, n, floats(weight), 1e-6f, out.data(), dtype, stride});
        return stored(out, dtype);
      };
      ASSERT_LE(nmse(run(kernel()), run(reference())), limit(dtype)) << n;
    }
  }
}

TEST_P(RowsKernels, NormalisesInPlaceAndLetsNanThrough) {
  DUAN_NEEDS_ISA(kernel().needs);
  Random random(2);
  Operand x(2 * 50, DType::f32, random), weight(50, DType::f32, random);
  x.set(70, NAN);
  kernel().rms_norm({floats(x), 50, 2, 1, 50, floats(weight), 1e-6f, floats(x), DType::f32, 50});
  for (int64_t i = 0; i < 100; ++i) ASSERT_EQ(std::isnan(x.at(i)), i >= 50) << i;
}

TEST_P(RowsKernels, NormalisesAroundTheMeanForEveryLength) {
  DUAN_NEEDS_ISA(kernel().needs);
  Random random(21);
  for (int64_t n = 1; n <= 140; ++n) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const int64_t rows = 3, stride = n + random.whole(0, 5);
      Operand x(rows * stride, DType::f32, random), weight(n, DType::f32, random), bias(n, DType::f32, random);
      for (int64_t i = 0; i < rows * stride; ++i) x.set(i, x.at(i) + 20);  // squares minus the square of the mean fail
      const auto run = [&](const RowsKernel& chosen) {
        Guarded<std::byte> out(static_cast<size_t>(rows * n) * dtype_size(dtype));
        chosen.layer_norm({floats(x), stride, rows, n, floats(weight), floats(bias), 1e-6f, out.data(), dtype, n});
        return stored(out, dtype);
      };
      ASSERT_LE(nmse(run(kernel()), run(reference())), dtype == DType::f32 ? 1e-10 : 1e-6) << n;
    }
  }
}

TEST_P(RowsKernels, GeluIsAccurateOverTheWholeRange) {
  DUAN_NEEDS_ISA(kernel().needs);
  std::vector<float> x;
  for (float v = -110; v < 110; v += 0.0173f) x.push_back(v);
  x.insert(x.end(), {0.0f, -0.0f, 1e-30f, -1e-30f, 3e4f, -3e4f});
  const auto n = static_cast<int64_t>(x.size());
  for (const bool tanh : {true, false}) {
    std::vector<float> actual(x.size()), expected(x.size());
    kernel().gelu({x.data(), n, tanh, actual.data(), DType::f32});
    reference().gelu({x.data(), n, tanh, expected.data(), DType::f32});
    for (size_t i = 0; i < x.size(); ++i) {
      // tanh: exp within 2 ulp of an argument with rounding of its own; erf: the approximation's 1.5e-7 and rounding.
      const float tolerance = tanh ? 1e-6f * std::abs(expected[i]) + 1e-6f : 5e-7f * (1 + std::abs(x[i]));
      ASSERT_NEAR(actual[i], expected[i], tolerance) << x[i] << (tanh ? " tanh" : " erf");
    }
  }
}

TEST_P(RowsKernels, GeluOfEveryLengthAndOfNan) {
  DUAN_NEEDS_ISA(kernel().needs);
  Random random(22);
  for (int64_t n = 1; n <= 70; ++n) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      for (const bool tanh : {true, false}) {
        Operand x(n, DType::f32, random);
        x.set(n / 2, NAN);
        const auto run = [&](const RowsKernel& chosen) {
          Guarded<std::byte> out(static_cast<size_t>(n) * dtype_size(dtype));
          chosen.gelu({floats(x), n, tanh, out.data(), dtype});
          return stored(out, dtype);
        };
        ASSERT_LE(nmse(run(kernel()), run(reference())), dtype == DType::f32 ? 1e-11 : 1e-6) << n;
      }
    }
  }
}

TEST_P(RowsKernels, RotatesPairsOfHalves) {
  DUAN_NEEDS_ISA(kernel().needs);
  Random random(3);
  for (int64_t half = 1; half <= 70; ++half) {
    const int64_t rows = 2, heads = 3, n = 2 * half, stride = heads * n;
    Operand x(rows * stride, DType::f32, random), angles(rows * half, DType::f32, random);
    Operand cosines(rows * half, DType::f32, random), sines(rows * half, DType::f32, random);
    for (int64_t i = 0; i < rows * half; ++i) {
      cosines.set(i, std::cos(angles.at(i)));
      sines.set(i, std::sin(angles.at(i)));
    }
    const auto run = [&](const RowsKernel& chosen) {
      Guarded<float> turned(static_cast<size_t>(rows * stride));
      std::memcpy(turned.data(), x.data(), turned.size() * sizeof(float));
      chosen.rope({turned.data(), stride, rows, heads, n, floats(cosines), floats(sines), half});
      return std::vector<float>(turned.span().begin(), turned.span().end());
    };
    ASSERT_LE(nmse(run(kernel()), run(reference())), 1e-12) << half;
  }
}

TEST_P(RowsKernels, GatesEveryLength) {
  DUAN_NEEDS_ISA(kernel().needs);
  Random random(4);
  for (int64_t n = 1; n <= 140; ++n) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const int64_t rows = 2;
      Operand gate(rows * n, DType::f32, random), up(rows * n, DType::f32, random);
      for (int64_t i = 0; i < rows * n; ++i) gate.set(i, gate.at(i) * 10);
      gate.set(0, NAN);
      const auto run = [&](const RowsKernel& chosen) {
        Guarded<std::byte> out(static_cast<size_t>(rows * n) * dtype_size(dtype));
        chosen.silu_mul({floats(gate), floats(up), n, n, rows, n, out.data(), dtype, n});
        return stored(out, dtype);
      };
      ASSERT_LE(nmse(run(kernel()), run(reference())), limit(dtype)) << n;
    }
  }
}

TEST_P(RowsKernels, GatesAccuratelyOverTheWholeRange) {
  DUAN_NEEDS_ISA(kernel().needs);
  std::vector<float> gate;
  for (float v = -110; v < 110; v += 0.0173f) gate.push_back(v);
  gate.insert(gate.end(), {0.0f, -0.0f, 1e-30f, -1e-30f, INFINITY, std::numeric_limits<float>::max()});
  const std::vector<float> up(gate.size(), 1.0f);
  std::vector<float> actual(gate.size()), expected(gate.size());
  const int64_t n = static_cast<int64_t>(gate.size());
  kernel().silu_mul({gate.data(), up.data(), n, n, 1, n, actual.data(), DType::f32, n});
  reference().silu_mul({gate.data(), up.data(), n, n, 1, n, expected.data(), DType::f32, n});
  for (size_t i = 0; i < gate.size(); ++i) {
    // exp within 2 ulp, then an addition, a division and a product.
    const float tolerance = std::abs(expected[i]) * 4.5e-7f + 1e-36f;
    if (std::isinf(expected[i])) {
      ASSERT_EQ(actual[i], expected[i]);
    } else {
      ASSERT_NEAR(actual[i], expected[i], tolerance) << "gate " << gate[i];
    }
  }
}

TEST_P(RowsKernels, AddsWithTheBitsOfPlainAddition) {
  DUAN_NEEDS_ISA(kernel().needs);
  Random random(5);
  for (int64_t n = 1; n <= 140; ++n) {
    Operand x(n, DType::f32, random);
    Guarded<float> y(static_cast<size_t>(n));
    std::vector<float> expected = normals(n, random);
    std::memcpy(y.data(), expected.data(), expected.size() * sizeof(float));
    kernel().add(floats(x), y.data(), n);
    for (int64_t i = 0; i < n; ++i) expected[static_cast<size_t>(i)] += x.at(i);
    ASSERT_TRUE(same_bits(y.span(), expected)) << n;
  }
}

TEST_P(RowsKernels, RoundsToBf16LikeTheScalarFunction) {
  DUAN_NEEDS_ISA(kernel().needs);
  Random random(6);
  std::vector<float> values = normals(3000, random);
  for (uint32_t upper = 0; upper < 0x10000; upper += 7) {
    for (const uint32_t lower : {0u, 1u, 0x7FFFu, 0x8000u, 0x8001u, 0xFFFFu}) {
      values.push_back(std::bit_cast<float>(upper << 16 | lower));
    }
  }
  std::vector<uint16_t> rounded(values.size());
  kernel().to_bf16(values.data(), rounded.data(), static_cast<int64_t>(values.size()));
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(rounded[i], float_to_bf16(values[i])) << std::bit_cast<uint32_t>(values[i]);
  }
  for (int64_t n = 1; n <= 70; ++n) {
    Operand x(n, DType::f32, random);
    Guarded<uint16_t> out(static_cast<size_t>(n));
    kernel().to_bf16(floats(x), out.data(), n);
    for (int64_t i = 0; i < n; ++i) ASSERT_EQ(out[static_cast<size_t>(i)], float_to_bf16(x.at(i)));
  }
}

TEST_P(RowsKernels, WidensEveryHalf) {
  DUAN_NEEDS_ISA(kernel().needs);
  for (const DType dtype : {DType::f16, DType::bf16}) {
    std::vector<uint16_t> bits(0x10000);
    for (size_t i = 0; i < bits.size(); ++i) bits[i] = static_cast<uint16_t>(i);
    std::vector<float> wide(bits.size());
    kernel().to_float(reinterpret_cast<const std::byte*>(bits.data()), dtype, wide.data(), 0x10000);
    for (size_t i = 0; i < bits.size(); ++i) {
      const float expected = dtype == DType::f16 ? f16_to_float(bits[i]) : bf16_to_float(bits[i]);
      if (std::isnan(expected)) {
        ASSERT_TRUE(std::isnan(wide[i])) << i;
      } else {
        ASSERT_EQ(std::bit_cast<uint32_t>(wide[i]), std::bit_cast<uint32_t>(expected)) << i;
      }
    }
  }
}

TEST_P(RowsKernels, WidensUnalignedRowsOfEveryLength) {
  DUAN_NEEDS_ISA(kernel().needs);
  Random random(8);
  for (int64_t n = 1; n <= 70; ++n) {
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
      Operand row(n, dtype, random, Guard::after, static_cast<size_t>(n % 2));
      Guarded<float> out(static_cast<size_t>(n));
      kernel().to_float(row.data(), dtype, out.data(), n);
      for (int64_t i = 0; i < n; ++i) ASSERT_EQ(out[static_cast<size_t>(i)], row.at(i)) << n;
    }
  }
}

std::string kernel_name(const testing::TestParamInfo<size_t>& info) { return kernels::rows_kernels()[info.param].name; }
INSTANTIATE_TEST_SUITE_P(All, RowsKernels, testing::Range<size_t>(0, kernels::rows_kernels().size()), kernel_name);

}  // namespace
}  // namespace duan::test
