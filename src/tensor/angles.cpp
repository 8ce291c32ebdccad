#include "tensor/angles.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace duan {
namespace {

// Blends extrapolation (plain frequencies, for short wavelengths) and interpolation (divided by factor, for long ones)
// over the pairs whose rotations within the original context lie between beta_slow and beta_fast.
void apply_yarn(const Rope& rope, const YarnRope& yarn, int64_t dim, std::vector<float>& frequencies) {
  const double dims = static_cast<double>(dim);
  const auto pair_of_rotations = [&](double rotations) {
    const double wavelength = static_cast<double>(yarn.original_positions) / (rotations * 2 * std::numbers::pi);
    return dims * std::log(wavelength) / (2 * std::log(rope.theta));
  };
  const double low = std::max(std::floor(pair_of_rotations(yarn.beta_fast)), 0.0);
  double high = std::min(std::ceil(pair_of_rotations(yarn.beta_slow)), dims - 1);
  if (low == high) high += 0.001;
  for (size_t j = 0; j < frequencies.size(); ++j) {
    const float ramp =
        std::clamp((static_cast<float>(j) - static_cast<float>(low)) / static_cast<float>(high - low), 0.0f, 1.0f);
    const float interpolated = frequencies[j] / static_cast<float>(yarn.factor);
    frequencies[j] = frequencies[j] * (1 - ramp) + interpolated * ramp;
  }
}

void apply_llama3(const Llama3Rope& llama3, std::vector<float>& frequencies) {
  const auto original = static_cast<float>(llama3.original_positions);
  const auto factor = static_cast<float>(llama3.factor);
  const auto low = static_cast<float>(llama3.low_freq_factor), high = static_cast<float>(llama3.high_freq_factor);
  for (float& frequency : frequencies) {
    const float wavelength = 2 * std::numbers::pi_v<float> / frequency;
    if (wavelength < original / high) continue;
    if (wavelength > original / low) {
      frequency /= factor;
    } else {
      const float smooth = (original / wavelength - low) / (high - low);
      frequency = (1 - smooth) * frequency / factor + smooth * frequency;
    }
  }
}

}  // namespace

int64_t axis_count(const RopeAxes& axes) {
  if (std::holds_alternative<InterleavedAxes>(axes)) return 3;
  return std::holds_alternative<HalvedAxes>(axes) ? 2 : 1;
}

Frequencies rope_frequencies(const Rope& rope, int64_t dim) {
  const auto pairs = static_cast<size_t>(dim / 2);
  if (std::holds_alternative<HalvedAxes>(rope.axes)) {
    Frequencies result = rope_frequencies({rope.theta, rope.scaling}, dim / 2);
    for (size_t j = 0; j < pairs / 2; ++j) result.per_pair.push_back(result.per_pair[j]);
    result.axis_of_pair.assign(pairs / 2, 0);
    result.axis_of_pair.resize(pairs, 1);
    return result;
  }
  Frequencies result{std::vector<float>(pairs), std::vector<int64_t>(pairs, 0), 1.0f};
  if (const auto* interleaved = std::get_if<InterleavedAxes>(&rope.axes)) {
    for (size_t j = 0; j < pairs; ++j) {
      const auto axis = static_cast<int64_t>(j % 3);
      if (static_cast<int64_t>(j) < 3 * interleaved->sections[static_cast<size_t>(axis)]) result.axis_of_pair[j] = axis;
    }
  }
  for (size_t j = 0; j < result.per_pair.size(); ++j) {
    const float exponent = static_cast<float>(2 * j) / static_cast<float>(dim);
    result.per_pair[j] = 1.0f / std::pow(static_cast<float>(rope.theta), exponent);
  }
  if (const auto* yarn = std::get_if<YarnRope>(&rope.scaling)) {
    apply_yarn(rope, *yarn, dim, result.per_pair);
    result.magnitude = static_cast<float>(yarn->attention_factor);
  } else if (const auto* llama3 = std::get_if<Llama3Rope>(&rope.scaling)) {
    apply_llama3(*llama3, result.per_pair);
  }
  return result;
}

void fill_angles(const Frequencies& frequencies, std::span<const int64_t> position, float* out) {
  const size_t pairs = frequencies.per_pair.size();
  for (size_t j = 0; j < pairs; ++j) {
    const float angle =
        static_cast<float>(position[static_cast<size_t>(frequencies.axis_of_pair[j])]) * frequencies.per_pair[j];
    out[j] = std::cos(angle) * frequencies.magnitude;
    out[pairs + j] = std::sin(angle) * frequencies.magnitude;
  }
}

}  // namespace duan
