#include "quant/smoothquant.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "quant/rounding.h"

namespace duan::quant {
namespace {

TEST(SmoothQuant, ScalesFollowTheFormula) {
  const std::vector<float> x{16, 4, 1}, w{1, 0.25f, 4};
  const std::vector<float> half = smoothing_scales(x, w, 0.5);
  EXPECT_FLOAT_EQ(half[0], 4);    // sqrt(16) / sqrt(1)
  EXPECT_FLOAT_EQ(half[1], 4);    // sqrt(4) / sqrt(1/4)
  EXPECT_FLOAT_EQ(half[2], 0.5);  // sqrt(1) / sqrt(4)
  const std::vector<float> all = smoothing_scales(x, w, 1.0);
  EXPECT_FLOAT_EQ(all[0], 16);
  const std::vector<float> none = smoothing_scales(x, w, 0.0);
  EXPECT_FLOAT_EQ(none[1], 4);  // 1 / w
}

TEST(SmoothQuant, DeadChannelsStayAndTheOthersAreBounded) {
  const std::vector<float> scales =
      smoothing_scales(std::vector<float>{0, 1, 1e30f, 1e-30f}, std::vector<float>{1, 0, 1e-30f, 1e30f}, 0.5);
  EXPECT_EQ(scales[0], 1);
  EXPECT_EQ(scales[1], 1);
  EXPECT_FLOAT_EQ(scales[2], 1e5f);
  EXPECT_FLOAT_EQ(scales[3], 1e-5f);
}

TEST(SmoothQuant, NormsLoseNothing) {
  for (const DType dtype : {DType::bf16, DType::f16, DType::f32}) {
    std::vector<float> scales, weight;
    for (int i = 1; i < 200; ++i) {
      scales.push_back(std::exp2(static_cast<float>(i % 13 - 6) + 0.37f));
      weight.push_back(nearest(dtype, 0.01f * static_cast<float>(i) * (i % 3 == 0 ? -1.0f : 1.0f)));
    }
    const std::vector<float> before = weight;
    const std::vector<float> exact = scales_of_norm(scales, weight, dtype);
    for (size_t c = 0; c < scales.size(); ++c) {
      EXPECT_EQ(weight[c], nearest(dtype, weight[c]));
      EXPECT_FLOAT_EQ(weight[c] * exact[c], before[c]);
      EXPECT_NEAR(exact[c] / scales[c], 1, dtype == DType::bf16 ? 0.004 : 0.0005);
    }
  }
}

TEST(SmoothQuant, NormWeightsThatCannotBeDividedStay) {
  const float tiny = std::numeric_limits<float>::denorm_min();
  std::vector<float> weight{0, 60000, tiny, 2};
  const std::vector<float> before = weight;
  const std::vector<float> exact = scales_of_norm(std::vector<float>{4, 0.5f, 2, 4}, weight, DType::f16);
  EXPECT_EQ(exact, (std::vector<float>{1, 1, 1, 4}));
  EXPECT_EQ(weight[0], before[0]);
  EXPECT_EQ(weight[1], before[1]);  // 120000 does not fit f16
  EXPECT_EQ(weight[2], before[2]);
  EXPECT_EQ(weight[3], 0.5f);
}

TEST(SmoothQuant, PowersOfTwoAreTheNearest) {
  EXPECT_EQ(powers_of_two(std::vector<float>{1, 1.4f, 1.5f, 3, 0.7f, 100}),
            (std::vector<float>{1, 1, 2, 4, 0.5f, 128}));
}

}  // namespace
}  // namespace duan::quant
