// SmoothQuant: how much of each channel's size the activations hand to the weights that read them, so that one range
// for all channels fits better. Where this may happen is smoothing.h's business.
#pragma once

#include <span>
#include <vector>

#include "tensor/dtype.h"

namespace duan::quant {

// s[c] = activation_max[c]^alpha / weight_max[c]^(1 - alpha), within [1e-5, 1e5]; 1 where either is 0 (a dead channel).
// The producer's channel c is divided by s[c] > 0, column c of every consumer multiplied by it.
std::vector<float> smoothing_scales(std::span<const float> activation_max, std::span<const float> weight_max,
                                    double alpha);

// What dividing can do exactly. A norm's weight w becomes the stored number of `dtype` nearest to w / s, and the scale
// becomes what that was divided by, so that nothing is lost to rounding. 1 where there is no such number. `weight` is
// exact in dtype; it gets the new numbers.
std::vector<float> scales_of_norm(std::span<const float> scales, std::span<float> weight, DType dtype);

// The nearest powers of two: multiplying and dividing by them loses nothing in any float format.
std::vector<float> powers_of_two(std::span<const float> scales);

}  // namespace duan::quant
