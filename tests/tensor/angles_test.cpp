#include "tensor/angles.h"

#include <gtest/gtest.h>

#include <cmath>

namespace duan {
namespace {

TEST(Angles, DefaultFrequenciesArePowersOfTheta) {
  const Frequencies f = rope_frequencies({10000, DefaultRope{}}, 8);
  ASSERT_EQ(f.per_pair.size(), 4u);
  for (int j = 0; j < 4; ++j) {
    EXPECT_NEAR(f.per_pair[static_cast<size_t>(j)], std::pow(10000.0, -2.0 * j / 8), 1e-7);
  }
  EXPECT_EQ(f.magnitude, 1.0f);
}

TEST(Angles, FillsCosinesThenSines) {
  const Frequencies f = rope_frequencies({100, DefaultRope{}}, 4);
  float out[4];
  const int64_t position = 3;
  fill_angles(f, {&position, 1}, out);
  EXPECT_NEAR(out[0], std::cos(3.0), 1e-6);
  EXPECT_NEAR(out[1], std::cos(0.3), 1e-6);
  EXPECT_NEAR(out[2], std::sin(3.0), 1e-6);
  EXPECT_NEAR(out[3], std::sin(0.3), 1e-6);
}

// The first six pairs cycle through t, h, w as far as the sections reach; the rest is t.
TEST(Angles, InterleavedAxesCycleAsFarAsTheirSections) {
  const Frequencies f = rope_frequencies({1e4, DefaultRope{}, InterleavedAxes{{4, 3, 1}}}, 16);
  EXPECT_EQ(f.axis_of_pair, (std::vector<int64_t>{0, 1, 2, 0, 1, 0, 0, 1}));
  const Frequencies plain = rope_frequencies({1e4, DefaultRope{}}, 16);
  EXPECT_EQ(f.per_pair, plain.per_pair);
  float out[16];
  const int64_t position[3] = {2, 5, 9};
  fill_angles(f, position, out);
  for (size_t j = 0; j < 8; ++j) {
    const double angle = static_cast<double>(position[f.axis_of_pair[j]]) * f.per_pair[j];
    EXPECT_NEAR(out[j], std::cos(angle), 1e-6) << j;
    EXPECT_NEAR(out[8 + j], std::sin(angle), 1e-6) << j;
  }
}

TEST(Angles, HalvedAxesHaveTheFrequenciesOfHalfTheDimTwice) {
  const Frequencies f = rope_frequencies({1e4, DefaultRope{}, HalvedAxes{}}, 12);
  EXPECT_EQ(f.axis_of_pair, (std::vector<int64_t>{0, 0, 0, 1, 1, 1}));
  for (size_t j = 0; j < 3; ++j) {
    EXPECT_NEAR(f.per_pair[j], std::pow(1e4, -2.0 * static_cast<double>(j) / 6), 1e-7);
    EXPECT_EQ(f.per_pair[3 + j], f.per_pair[j]);
  }
}

TEST(Angles, YarnKeepsShortAndDividesLongWavelengths) {
  const YarnRope yarn{.factor = 4, .original_positions = 64, .attention_factor = 1.1};
  const Frequencies plain = rope_frequencies({1e6, DefaultRope{}}, 32);
  const Frequencies f = rope_frequencies({1e6, yarn}, 32);
  EXPECT_FLOAT_EQ(f.per_pair.front(), plain.per_pair.front());
  EXPECT_FLOAT_EQ(f.per_pair.back(), plain.per_pair.back() / 4);
  EXPECT_FLOAT_EQ(f.magnitude, 1.1f);
}

TEST(Angles, Llama3DividesOnlyLongWavelengths) {
  const Llama3Rope llama3{.factor = 8, .low_freq_factor = 1, .high_freq_factor = 4, .original_positions = 8192};
  const Frequencies plain = rope_frequencies({500000, DefaultRope{}}, 128);
  const Frequencies f = rope_frequencies({500000, llama3}, 128);
  for (size_t j = 0; j < 64; ++j) {
    const double wavelength = 2 * 3.14159265358979 / plain.per_pair[j];
    if (wavelength < 8192.0 / 4) {
      EXPECT_EQ(f.per_pair[j], plain.per_pair[j]);
    } else if (wavelength > 8192) {
      EXPECT_FLOAT_EQ(f.per_pair[j], plain.per_pair[j] / 8);
    } else {
      EXPECT_LT(f.per_pair[j], plain.per_pair[j]);
      EXPECT_GT(f.per_pair[j], plain.per_pair[j] / 8);
    }
  }
}

}  // namespace
}  // namespace duan
