#include "quant/smoothquant.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "quant/rounding.h"

namespace duan::quant {
namespace {
constexpr double kLeast = 1e-5, kMost = 1e5;
}

std::vector<float> smoothing_scales(std::span<const float> activation_max, std::span<const float> weight_max,
                                    double alpha) {
  DUAN_CHECK(activation_max.size() == weight_max.size(), "{} channels, {} columns", activation_max.size(),
             weight_max.size());
  std::vector<float> scales(activation_max.size(), 1.0f);
  for (size_t c = 0; c < scales.size(); ++c) {
    if (activation_max[c] == 0 || weight_max[c] == 0) continue;
    const double scale = std::pow(activation_max[c], alpha) / std::pow(weight_max[c], 1 - alpha);
    scales[c] = static_cast<float>(std::clamp(scale, kLeast, kMost));
  }
  return scales;
}

std::vector<float> scales_of_norm(std::span<const float> scales, std::span<float> weight, DType dtype) {
  DUAN_CHECK(scales.size() == weight.size(), "{} scales for {} channels", scales.size(), weight.size());
  std::vector<float> exact(scales.size(), 1.0f);
  for (size_t c = 0; c < scales.size(); ++c) {
    const float stored = nearest(dtype, weight[c] / scales[c]);
    // Subnormal numbers would leave a factor far from the one wanted.
    if (!std::isfinite(stored) || stored == 0 || !std::isnormal(weight[c])) continue;
    const float factor = weight[c] / stored;
    if (!(factor > 0.5f * scales[c] && factor < 2 * scales[c])) continue;
    exact[c] = factor;
    weight[c] = stored;
  }
  return exact;
}

std::vector<float> powers_of_two(std::span<const float> scales) {
  std::vector<float> powers(scales.size());
  for (size_t c = 0; c < scales.size(); ++c) powers[c] = std::exp2(std::round(std::log2(scales[c])));
  return powers;
}

}  // namespace duan::quant
