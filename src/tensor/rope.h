// Rotary position embedding as a config states it: shared by the config reader, the graph and the engine.
#pragma once

#include <array>
#include <cstdint>
#include <variant>

namespace duan {

// Frequencies theta^(-2j/d), j < d/2, unchanged.
struct DefaultRope {
  bool operator==(const DefaultRope&) const = default;
};

// YaRN (Peng et al. 2023) as transformers computes it: frequencies between the two betas are blended, and cos and sin
// are multiplied by attention_factor.
struct YarnRope {
  double factor;               // > 0
  int64_t original_positions;  // the context the model was first trained on
  double beta_fast = 32, beta_slow = 1;
  double attention_factor;  // as given, or 0.1 ln(factor) + 1; 1 for factor <= 1
  bool operator==(const YarnRope&) const = default;
};

// Llama 3.1: long wavelengths divided by factor, short ones kept, a linear blend between.
struct Llama3Rope {
  double factor, low_freq_factor, high_freq_factor;  // low_freq_factor < high_freq_factor
  int64_t original_positions;
  bool operator==(const Llama3Rope&) const = default;
};

using RopeScaling = std::variant<DefaultRope, YarnRope, Llama3Rope>;

// Which coordinate of a token's position turns which pair.
struct OneAxis {  // positions have one coordinate
  bool operator==(const OneAxis&) const = default;
};

// Qwen3-VL's M-RoPE: positions (t, h, w). Pair j turns by h if j % 3 == 1 and j < 3 sections[1], by w if j % 3 == 2 and
// j < 3 sections[2], else by t.
struct InterleavedAxes {
  std::array<int64_t, 3> sections;  // pairs of each coordinate; their sum is dim / 2
  bool operator==(const InterleavedAxes&) const = default;
};

// Vision: positions (y, x). The first half of the pairs turns by y, the second by x, each with the dim / 4 frequencies
// of a rotation of dim / 2.
struct HalvedAxes {
  bool operator==(const HalvedAxes&) const = default;
};

using RopeAxes = std::variant<OneAxis, InterleavedAxes, HalvedAxes>;
int64_t axis_count(const RopeAxes& axes);  // 1, 3, 2

struct Rope {
  double theta;  // > 0
  RopeScaling scaling;
  RopeAxes axes{};
  bool operator==(const Rope&) const = default;
};

}  // namespace duan
