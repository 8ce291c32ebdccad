// GPTQ (arXiv 2210.17323): rounding the columns of a weight one after the other, each so that it makes up for what the
// ones before did to the layer's outputs.
//
// With H = G / tokens, damped, and H = R R^T, R upper triangular, the sum of the squared output changes of a row w that
// becomes q is |(w - q) R|^2, and column j of (w - q) R holds errors of columns up to j alone. So
//   q_j = Q(w_j + sum over i < j of (w_i - q_i) R_ij / R_jj)
// makes the j-th term of that sum least, given the columns before. These are GPTQ's numbers (it subtracts
// error / U_ii * U_ij from the columns to come, U^T U = H^-1, and U = R^-1) without an inverse: a third of the work.
//
// Where the output of the row lacks d beforehand (carried_error.h), it is |(w - q) R + b R^-T|^2 less a constant that
// is to be made least, b being the mean of d x^T: the j-th column of b R^-T, divided by R_jj, is added to the above.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "quant/gram.h"
#include "quant/rounding.h"
#include "quant/triangle.h"

namespace duan::quant {

// Of the mean of H's diagonal, added to all of it.
inline constexpr double kGptqDamping = 0.01;

// How much of d is asked of the weights at most. It is known from calibration tokens alone, and what those have in
// common by chance would be learnt, too: with five tokens for a column, all of it is worse than none.
inline constexpr double kCarriedPart = 0.5;

// A loss that nothing but reports asks for costs as much as choosing codes: it is computed for one row of so many.
inline constexpr size_t kLossRows = 4;

// What all layers that read one value share. Memory: 2 width^2 bytes, 6 width^2 while it is made; where outputs lack
// something, 4 width^2.
class Gptq {
 public:
  // `gram` is of the value, whose channels are divided by their numbers before they are read if there are `divisors`.
  // Columns are taken in the order of falling mean squares; one that is always 0 gets a diagonal of 1. Throws Error
  // naming `readers` if inputs are too large or too small for their squares.
  Gptq(Gram gram, std::span<const float> divisors, const std::string& readers, ThreadPool& pool);

  // Before the first round() in which outputs lack something.
  void expect_lacking(ThreadPool& pool);

  // The mean square, over all tokens, of what rounding changes in the output of a row, or of what it leaves of d where
  // a row is given some, without that part of d which no weights could make up for.
  struct Loss {
    std::optional<double> before{};  // of the codes that were given: for the first of every kLossRows rows
    double after = 0;
  };

  struct Lacking {
    std::span<const float> products{};  // [count, width]: b of each row; empty: 0
    // [count]: the mean of d^2, for making less of b where no more of it is explained than by chance; empty: unknown.
    std::span<const double> squares{};
    double tokens = 0;  // that both are means of
  };

  // Chooses the codes of weight rows[count, width] anew; rounded[count] holds scales and zero points, which stay, and
  // the codes of rounding to nearest. losses[count]. The same bits for any number of threads.
  void round(std::span<const float> rows, const WeightRounding& rounding, std::span<RoundedRow> rounded,
             std::span<Loss> losses, ThreadPool& pool, const Lacking& lacking) const;
  void round(std::span<const float> rows, const WeightRounding& rounding, std::span<RoundedRow> rounded,
             std::span<Loss> losses, ThreadPool& pool) const {
    round(rows, rounding, rounded, losses, pool, {});
  }

 private:
  struct Chunk;
  void round_chunk(const Chunk& chunk) const;
  std::vector<float> made_up_for(const Chunk& chunk) const;

  std::vector<int64_t> order_;                 // column taken at each step
  std::vector<double> pivots_;                 // R_jj, by step
  std::vector<double> damping_;                // what was added to H_jj, by step
  Triangle<float> ratios_;                     // row j, column i: R_ij / R_jj by steps; 1 on the diagonal, 0 above
  std::vector<std::vector<float>> columns_{};  // by panel: its columns left of the square, [first, rows of the panel]
};

}  // namespace duan::quant
