#include "quant/gram.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

namespace duan::quant {
namespace {

std::vector<float> random_numbers(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.2f, 1);
  std::vector<float> numbers(count);
  for (float& x : numbers) x = normal(random);
  return numbers;
}

// All of G, in the order of rows.
std::vector<float> all_of(const Gram& gram) {
  std::vector<float> all;
  for (int64_t i = 0; i < gram.width(); ++i) {
    for (int64_t j = 0; j < gram.width(); ++j) all.push_back(gram.at(i, j));
  }
  return all;
}

TEST(Gram, IsTheSumForAnyThreadsAndCalls) {
  for (const int64_t width : {1, 7, 128, 129, 300}) {
    const int64_t tokens = width == 300 ? 700 : 530;  // more than are added at once
    const std::vector<float> x = random_numbers(static_cast<size_t>(tokens * width), 3);
    std::vector<float> weights(static_cast<size_t>(tokens));
    for (size_t t = 0; t < weights.size(); ++t) weights[t] = static_cast<float>(t % 3);
    for (const bool weighted : {false, true}) {
      std::vector<std::vector<float>> found;
      for (const int threads : {1, 2, 4}) {
        ThreadPool pool(threads);
        Gram gram(width);
        for (int64_t at = 0, step = 1 + threads; at < tokens; at += step, step = step * 2 + 1) {
          const int64_t rows = std::min(step, tokens - at);
          const std::span<const float> all(weights);
          gram.add(rows, x.data() + at * width, pool,
                   weighted ? all.subspan(static_cast<size_t>(at), static_cast<size_t>(rows)) : all.first(0));
        }
        gram.finish(pool);
        EXPECT_TRUE(gram.is_finite());
        found.push_back(all_of(gram));
        double count = 0;
        for (const float weight : weights) count += weighted ? weight : 1;
        EXPECT_EQ(gram.count(), count);
      }
      EXPECT_EQ(std::memcmp(found[0].data(), found[1].data(), found[0].size() * 4), 0) << width;
      EXPECT_EQ(std::memcmp(found[0].data(), found[2].data(), found[0].size() * 4), 0) << width;
      for (int64_t i = 0; i < width; i += 1 + width / 40) {
        for (int64_t j = 0; j < width; j += 1 + width / 50) {
          double sum = 0;
          for (int64_t t = 0; t < tokens; ++t) {
            sum += (weighted ? weights[static_cast<size_t>(t)] : 1.0) * x[static_cast<size_t>(t * width + i)] *
                   x[static_cast<size_t>(t * width + j)];
          }
          EXPECT_NEAR(found[0][static_cast<size_t>(i * width + j)], sum, 2e-4 * static_cast<double>(tokens) / 500)
              << i << j;
        }
      }
    }
  }
}

// Each number is off by half a step of its channel at most, and steps are a 127th of 4: with so many tokens the mean of
// products moves by less than a hundredth.
TEST(Gram, OfInt8IsNearlyThatOfTheTokens) {
  for (const int64_t width : {1, 7, 128, 129, 300}) {
    const int64_t tokens = 4200;
    const std::vector<float> x = random_numbers(static_cast<size_t>(tokens * width), 4);
    ThreadPool one(1), three(3);
    Gram exact(width), whole(width, DType::i8), pieces(width, DType::i8);
    exact.add(tokens, x.data(), one);
    whole.add(tokens, x.data(), one);
    for (int64_t at = 0; at < tokens; at += 200) {
      pieces.add(std::min<int64_t>(200, tokens - at), x.data() + at * width, three);
    }
    exact.finish(one);
    whole.finish(one);
    pieces.finish(three);
    const std::vector<float> expected = all_of(exact), found = all_of(whole);
    EXPECT_EQ(found, all_of(pieces)) << width;
    for (size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], 42) << width << " " << i;
  }
}

TEST(Gram, TellsHowLargeOutputsAre) {
  for (const int64_t width : {3, 130, 257}) {
    const int64_t tokens = 20, rows = 9;
    const std::vector<float> x = random_numbers(static_cast<size_t>(tokens * width), 5),
                             w = random_numbers(static_cast<size_t>(rows * width), 6);
    std::vector<std::vector<double>> found;
    for (const int threads : {1, 3}) {
      ThreadPool pool(threads);
      Gram gram(width);
      gram.add(tokens, x.data(), pool);
      gram.finish(pool);
      gram.quadratic(rows, w.data(), found.emplace_back(static_cast<size_t>(rows)), pool);
    }
    EXPECT_EQ(found[0], found[1]);
    for (int64_t r = 0; r < rows; ++r) {
      double expected = 0;
      for (int64_t t = 0; t < tokens; ++t) {
        double y = 0;
        for (int64_t c = 0; c < width; ++c) {
          y += static_cast<double>(x[static_cast<size_t>(t * width + c)]) * w[static_cast<size_t>(r * width + c)];
        }
        expected += y * y;
      }
      EXPECT_NEAR(found[0][static_cast<size_t>(r)] / expected, 1, 1e-4);
    }
  }
}

TEST(Gram, SaysWhenSquaresOverflow) {
  ThreadPool pool(1);
  Gram gram(3);
  gram.add(1, std::vector<float>{1, 1e25f, 2}.data(), pool);
  gram.finish(pool);
  EXPECT_FALSE(gram.is_finite());
}

}  // namespace
}  // namespace duan::quant
