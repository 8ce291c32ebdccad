#include "quant/cholesky.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace duan::quant {
namespace {

// Symmetric and positive definite, [size, size]: of correlated random vectors.
std::vector<double> some_matrix(int64_t size) {
  std::mt19937 random(11);
  std::normal_distribution<double> normal(0, 1);
  const auto n = static_cast<size_t>(size);
  std::vector<double> b(n * 5), a(n * n);
  for (double& x : b) x = normal(random);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      for (size_t k = 0; k < 5; ++k) a[i * n + j] += b[i * 5 + k] * b[j * 5 + k];
    }
    a[i * n + i] += 0.1;
  }
  return a;
}

Triangle<double> triangle_of(const std::vector<double>& a, int64_t size) {
  Triangle<double> triangle(size);
  for (int64_t i = 0; i < size; ++i) {
    for (int64_t j = 0; j < triangle.columns(i); ++j) {
      triangle.row(i)[j] = j <= i ? a[static_cast<size_t>(i * size + j)] : std::nan("");  // which nobody reads
    }
  }
  return triangle;
}

TEST(Cholesky, TheFactorTimesItselfIsTheMatrix) {
  for (const int64_t size : {1, 2, 5, 128, 129, 131, 290}) {
    const std::vector<double> a = some_matrix(size);
    std::vector<Triangle<double>> found;
    for (const int threads : {1, 4}) {
      ThreadPool pool(threads);
      ASSERT_TRUE(cholesky(found.emplace_back(triangle_of(a, size)), pool)) << size;
    }
    for (int64_t i = 0; i < size; ++i) {
      EXPECT_GT(found[0].row(i)[i], 0);
      for (int64_t j = 0; j <= i; ++j) {
        ASSERT_EQ(found[0].row(i)[j], found[1].row(i)[j]);
        double sum = 0;
        for (int64_t k = 0; k <= j; ++k) sum += found[0].row(i)[k] * found[0].row(j)[k];
        ASSERT_NEAR(sum, a[static_cast<size_t>(i * size + j)], 1e-12) << size << " " << i << " " << j;
      }
    }
  }
}

TEST(Cholesky, SaysWhenThereIsNone) {
  ThreadPool pool(1);
  for (const int64_t at : {0, 127, 128, 199}) {
    std::vector<double> a = some_matrix(200);
    a[static_cast<size_t>(at * 200 + at)] = -1;
    Triangle<double> triangle = triangle_of(a, 200);
    EXPECT_FALSE(cholesky(triangle, pool));
    a[static_cast<size_t>(at * 200 + at)] = std::nan("");
    triangle = triangle_of(a, 200);
    EXPECT_FALSE(cholesky(triangle, pool));
  }
}

}  // namespace
}  // namespace duan::quant
