// Rotary angles: frequencies of each pair, and the cosines and sines of a position.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tensor/rope.h"

namespace duan {

struct Frequencies {
  std::vector<float> per_pair;        // [dim / 2], radians per position
  std::vector<int64_t> axis_of_pair;  // [dim / 2], which coordinate of the position turns it
  float magnitude;                    // cos and sin are multiplied by it (YaRN); 1 otherwise
};

// Frequencies of pairs (j, j + dim/2). Default: theta^(-2j/dim); YaRN and llama3 as transformers computes them.
// Computed in float like transformers does, so that long positions agree to the last digits.
Frequencies rope_frequencies(const Rope& rope, int64_t dim);

// out[dim]: dim/2 cosines, then dim/2 sines, of position * frequency. `position` has a coordinate for every axis.
void fill_angles(const Frequencies& frequencies, std::span<const int64_t> position, float* out);

}  // namespace duan
