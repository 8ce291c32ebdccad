#include "quant/rounding.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/cpu.h"
#include "base/error.h"
#include "base/target.h"
#include "kernels/unroll.h"

namespace duan::quant {
namespace {

namespace plain {
constexpr int kLanes = 4;
#include "quant/rounding_error.inc"
}  // namespace plain

#if defined(__x86_64__)
DUAN_TARGET_BEGIN(DUAN_TARGET_AVX2)
namespace avx2 {
constexpr int kLanes = 8;
#include "quant/rounding_error.inc"
}  // namespace avx2
DUAN_TARGET_END
#endif

decltype(&plain::error_2_4) select_error_2_4() {
#if defined(__x86_64__)
  static const bool has_avx2 = isa_allowed(Isa::avx2);
  if (has_avx2) return avx2::error_2_4;
#endif
  return plain::error_2_4;
}

// The shrink steps of the mse observer, 1.00, 0.99, ... 0.81, and of imatrix, down to 0.66.
constexpr int kShrinkSteps = 20, kImatrixSteps = 35;
// Steps that differ by the noise of a sum alone are alike: the first is taken.
constexpr float kBetter = 1 - 2e-7f;

// Identity, or rounding to a narrow dtype after every operation.
struct Wide {
  float operator()(float value) const { return value; }
};
struct Narrow {
  DType dtype;
  float operator()(float value) const { return nearest(dtype, value); }
};

// x^2.4 for x >= 0, of one number.
inline float power_2_4(float x) {
  float numbers[plain::kLanes];
  const plain::Floats powers = plain::power_2_4(plain::Floats{x});
  std::memcpy(numbers, &powers, sizeof numbers);
  return numbers[0];
}

struct GroupScale {
  float scale;
  float zero_point;
};

template <typename Round>
GroupScale scale_of(float low, float high, const WeightRounding& r, const Round& round) {
  const auto lowest = static_cast<float>(r.lowest()), highest = static_cast<float>(r.highest());
  GroupScale result{0, 0};
  low = std::min(low, 0.0f);
  high = std::max(high, 0.0f);
  if (r.symmetric) {
    result.scale = nearest(r.scale_dtype, round(std::max(-low, high) / ((highest - lowest) / 2)));
  } else {
    result.scale = nearest(r.scale_dtype, round(round(high - low) / (highest - lowest)));
    if (result.scale > 0) {
      const float exact = round(lowest - round(low / result.scale));
      result.zero_point = round_half_even(std::clamp(exact, lowest, highest));
    }
  }
  if (result.scale == 0) {  // a group of zeros, or of numbers that the dtype has no scale for
    result.scale = r.scale_dtype == DType::f32    ? std::numeric_limits<float>::epsilon()
                   : r.scale_dtype == DType::bf16 ? 0.0078125f
                                                  : 0.0009765625f;
  }
  return result;
}

// The code of w as a float.
template <typename Round>
inline float code_of(float w, const GroupScale& s, float lowest, float highest, const Round& round) {
  const float exact = round(round(w / s.scale) + s.zero_point);
  return round_half_even(std::min(std::max(exact, lowest), highest));
}

// Sum over the group of what `cost` makes of |error| and its place. Eight sums side by side, in an order that does not
// depend on the machine.
template <typename Round, typename Cost>
float group_error(const float* group, size_t size, const GroupScale& s, float lowest, float highest, const Round& round,
                  const Cost& cost) {
  constexpr size_t kSums = 8;
  float sums[kSums] = {};
  for (size_t i = 0; i < size; i += kSums) {
    float errors[kSums] = {};
    const size_t count = std::min(kSums, size - i);
    const auto fill = [&](size_t n) {
      for (size_t j = 0; j < n; ++j) {
        const float w = group[i + j];
        const float value = round((code_of(w, s, lowest, highest, round) - s.zero_point) * s.scale);
        errors[j] = round(cost(std::abs(round(value - w)), i + j));
      }
    };
    count == kSums ? fill(kSums) : fill(count);
    for (size_t j = 0; j < kSums; ++j) sums[j] += errors[j];
  }
  return round(((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7])));
}

template <typename Round>
void round_groups(std::span<const float> row, const WeightRounding& r, const Round& round,
                  std::span<const float> importance, RoundedRow& out) {
  const size_t size = r.group_size == 0 ? row.size() : static_cast<size_t>(r.group_size);
  const auto lowest = static_cast<float>(r.lowest()), highest = static_cast<float>(r.highest());
  const auto error_2_4 = select_error_2_4();
  for (size_t g = 0; g < out.scales.size(); ++g) {
    const std::span<const float> group = row.subspan(g * size, size);
    float low = group[0], high = group[0];
    for (const float w : group) {
      low = std::min(low, w);
      high = std::max(high, w);
    }
    GroupScale best = scale_of(low, high, r, round);
    const auto shrink_by = [&](int steps, const auto& error_of) {
      float least = std::numeric_limits<float>::infinity();
      for (int step = 0; step < steps; ++step) {
        const auto p = static_cast<float>(1.0 - step / 100.0);
        const GroupScale candidate = scale_of(round(low * p), round(high * p), r, round);
        const float error = error_of(candidate);
        if (error < least * kBetter) least = error, best = candidate;
      }
    };
    const auto shrink = [&](int steps, const auto& cost) {
      shrink_by(steps,
                [&](const GroupScale& s) { return group_error(group.data(), size, s, lowest, highest, round, cost); });
    };
    if (r.observer == WeightObserver::mse && std::is_same_v<Round, Wide> && size % 8 == 0) {
      shrink_by(kShrinkSteps, [&](const GroupScale& s) {
        return error_2_4(group.data(), size, s.scale, s.zero_point, lowest, highest);
      });
    } else if (r.observer == WeightObserver::mse) {
      shrink(kShrinkSteps, [](float error, size_t) { return power_2_4(error); });
    } else if (r.observer == WeightObserver::imatrix && importance.empty()) {
      shrink(kImatrixSteps, [](float error, size_t) { return error * error; });
    } else if (r.observer == WeightObserver::imatrix) {
      const float* of_group = importance.data() + g * size;
      shrink(kImatrixSteps, [of_group](float error, size_t i) { return of_group[i] * (error * error); });
    }
    out.scales[g] = best.scale;
    out.zero_points[g] = static_cast<int8_t>(best.zero_point);
    if (r.symmetric && r.largest_outward) best.scale *= 1 - 1e-6f;  // a few units in the last place
    for (size_t i = 0; i < size; ++i) {
      out.codes[g * size + i] = static_cast<int8_t>(code_of(group[i], best, lowest, highest, round));
    }
  }
}

}  // namespace

float nearest(DType dtype, float value) {
  switch (dtype) {
    case DType::bf16:
      return bf16_to_float(float_to_bf16(value));
    case DType::f16:
      return f16_to_float(float_to_f16(value));
    default:
      return value;
  }
}

std::string_view weight_observer_name(WeightObserver observer) {
  switch (observer) {
    case WeightObserver::minmax:
      return "minmax";
    case WeightObserver::mse:
      return "mse";
    case WeightObserver::imatrix:
      return "imatrix";
  }
  return "?";
}

void round_row(std::span<const float> row, const WeightRounding& rounding, RoundedRow& out,
               std::span<const float> importance) {
  const auto columns = static_cast<int64_t>(row.size());
  DUAN_CHECK(columns > 0 && (rounding.group_size == 0 || columns % rounding.group_size == 0),
             "{} columns in groups of {}", columns, rounding.group_size);
  DUAN_CHECK((rounding.bits == 4 || rounding.bits == 8) && is_float(rounding.scale_dtype), "{} bits, scales of {}",
             rounding.bits, dtype_name(rounding.scale_dtype));
  DUAN_CHECK(importance.empty() || importance.size() == row.size(), "{} importances of {} columns", importance.size(),
             columns);
  const auto groups = static_cast<size_t>(rounding.groups(columns));
  out.codes.resize(row.size());
  out.scales.resize(groups);
  out.zero_points.resize(groups);
  if (rounding.narrow && rounding.scale_dtype != DType::f32) {
    round_groups(row, rounding, Narrow{rounding.scale_dtype}, importance, out);
  } else {
    round_groups(row, rounding, Wide{}, importance, out);
  }
}

void dequantize_row(const RoundedRow& row, const WeightRounding& rounding, std::span<float> values) {
  DUAN_CHECK(values.size() == row.codes.size(), "{} values of {} codes", values.size(), row.codes.size());
  const size_t size = rounding.group_size == 0 ? values.size() : static_cast<size_t>(rounding.group_size);
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t g = i / size;
    values[i] = static_cast<float>(row.codes[i] - row.zero_points[g]) * row.scales[g];
  }
}

void pack_codes(std::span<const int8_t> codes, int bits, std::span<uint32_t> words) {
  DUAN_CHECK(words.size() == (codes.size() * static_cast<size_t>(bits) + 31) / 32, "{} words for {} codes of {} bits",
             words.size(), codes.size(), bits);
  const size_t per_word = 32 / static_cast<size_t>(bits);
  const int32_t offset = 1 << (bits - 1);
  std::fill(words.begin(), words.end(), 0u);
  for (size_t i = 0; i < codes.size(); ++i) {
    const auto stored = static_cast<uint32_t>(codes[i] + offset);
    words[i / per_word] |= stored << (i % per_word * static_cast<size_t>(bits));
  }
}

}  // namespace duan::quant
