#include "vision/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"

namespace duan::vision {
namespace {

constexpr double kMaxRatio = 200;

void check_ratio(int64_t height, int64_t width) {
  const double ratio = static_cast<double>(std::max(height, width)) / static_cast<double>(std::min(height, width));
  if (ratio > kMaxRatio) {
    throw Error(fmt::format("is {} x {} pixels, its sides may be at most {}:1", width, height, kMaxRatio), "",
                "Cut it into pieces.");
  }
}

void check_sides(Size size) {
  if (size.height < 1 || size.width < 1) {
    throw Error(fmt::format("is {} x {} pixels, a picture has at least one", size.width, size.height));
  }
}

// round, floor and ceil to a multiple; Python rounds halves to even, which is std::nearbyint's default.
int64_t nearest(double value, int64_t factor) {
  return static_cast<int64_t>(std::nearbyint(value / static_cast<double>(factor))) * factor;
}
int64_t above(double value, int64_t factor) {
  return static_cast<int64_t>(std::ceil(value / static_cast<double>(factor))) * factor;
}
int64_t below(double value, int64_t factor) {
  return std::max(factor, static_cast<int64_t>(std::floor(value / static_cast<double>(factor))) * factor);
}

// `frames` is what the area is multiplied with, `counted` the number it is rounded to.
Size fit(double frames, int64_t counted, Size image, const PixelLimits& limits) {
  const int64_t factor = limits.factor;
  const double h = static_cast<double>(image.height), w = static_cast<double>(image.width);
  const Size rounded{nearest(h, factor), nearest(w, factor)};
  const int64_t pixels = counted * rounded.height * rounded.width;
  if (pixels > limits.max_pixels) {
    const double beta = std::sqrt(frames * h * w / static_cast<double>(limits.max_pixels));
    return {below(h / beta, factor), below(w / beta, factor)};
  }
  if (pixels < limits.min_pixels) {
    const double beta = std::sqrt(static_cast<double>(limits.min_pixels) / (frames * h * w));
    return {above(h * beta, factor), above(w * beta, factor)};
  }
  return rounded;
}

// For one axis: each output is a weighted sum of neighbouring inputs, in fixed point.
struct Taps {
  int64_t most = 0;              // the largest number of taps of an output; weights stand that far apart
  int precision = 0;             // bits behind the point
  std::vector<int64_t> first;    // [outputs] the first input
  std::vector<int64_t> count;    // [outputs]
  std::vector<int16_t> weights;  // [outputs, most]
};

// Keys' kernel with a = -0.5.
double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

Taps make_taps(int64_t inputs, int64_t outputs) {
  const double scale = static_cast<double>(inputs) / static_cast<double>(outputs);
  const double stretch = std::max(scale, 1.0), support = 2 * stretch, shrink = 1 / stretch;
  Taps taps;
  taps.most = 2 * static_cast<int64_t>(std::ceil(support)) + 1;
  std::vector<double> exact(static_cast<size_t>(outputs * taps.most));
  double largest = 0;
  for (int64_t o = 0; o < outputs; ++o) {
    const double center = scale * (static_cast<double>(o) + 0.5);
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t last = std::min(static_cast<int64_t>(center + support + 0.5), inputs);
    const int64_t count = std::clamp<int64_t>(last - first, 0, taps.most);
    double* const weights = exact.data() + o * taps.most;
    double sum = 0;
    for (int64_t t = 0; t < count; ++t) {
      weights[t] = cubic((static_cast<double>(t + first) - center + 0.5) * shrink);
      sum += weights[t];
    }
    for (int64_t t = 0; t < count; ++t) {
      weights[t] /= sum;
      largest = std::max(largest, weights[t]);
    }
    taps.first.push_back(first);
    taps.count.push_back(count);
  }
  // The most bits with which every weight is an int16.
  while (taps.precision < 22 && static_cast<int>(0.5 + largest * (1 << (taps.precision + 1))) < 1 << 15) {
    ++taps.precision;
  }
  for (const double weight : exact) {
    const double scaled = weight * (1 << taps.precision);
    taps.weights.push_back(static_cast<int16_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5));
  }
  return taps;
}

// Samples summed at a time: a number the compiler knows, so that it keeps the sums in registers.
constexpr int64_t kBlock = 48;

// to[i] = the weighted sum over t of from[t * stride + i], rounded, i < N.
template <int64_t N>
void weigh(const uint8_t* from, int64_t stride, const int16_t* weights, int64_t count, int precision, uint8_t* to) {
  int32_t sums[N];
  for (int64_t i = 0; i < N; ++i) sums[i] = 1 << (precision - 1);
  for (int64_t t = 0; t < count; ++t, from += stride) {
    const int16_t weight = weights[t];
    for (int64_t i = 0; i < N; ++i) sums[i] += weight * static_cast<int16_t>(from[i]);
  }
  for (int64_t i = 0; i < N; ++i) to[i] = static_cast<uint8_t>(std::clamp(sums[i] >> precision, 0, 255));
}

Image resize_height(const Image& image, int64_t height) {
  const Taps taps = make_taps(image.height, height);
  const int64_t stride = image.width * 3;
  Image out{image.width, height, {}};
  out.rgb.resize(static_cast<size_t>(height * stride));
  for (int64_t y = 0; y < height; ++y) {
    const uint8_t* const from = image.row(taps.first[static_cast<size_t>(y)]);
    const int16_t* const weights = taps.weights.data() + y * taps.most;
    const int64_t count = taps.count[static_cast<size_t>(y)];
    uint8_t* const to = out.row(y);
    int64_t x = 0;
    for (; x + kBlock <= stride; x += kBlock) {
      weigh<kBlock>(from + x, stride, weights, count, taps.precision, to + x);
    }
    for (; x < stride; ++x) weigh<1>(from + x, stride, weights, count, taps.precision, to + x);
  }
  return out;
}

// Strips of a few rows are laid on their side, so that both axes are the same sum over something contiguous.
Image resize_width(const Image& image, int64_t width) {
  constexpr int64_t rows = kBlock / 3;
  const Taps taps = make_taps(image.width, width);
  Image out{width, image.height, {}};
  out.rgb.resize(static_cast<size_t>(width * image.height * 3));
  std::vector<uint8_t> columns(static_cast<size_t>(image.width * kBlock));  // [image.width, rows, 3]
  std::vector<uint8_t> results(static_cast<size_t>(width * kBlock));        // [width, rows, 3]
  for (int64_t y = 0; y < image.height; y += rows) {
    const int64_t there = std::min(rows, image.height - y);
    for (int64_t r = 0; r < there; ++r) {
      const uint8_t* const from = image.row(y + r);
      uint8_t* const to = columns.data() + r * 3;
      for (int64_t x = 0; x < image.width; ++x) std::memcpy(to + x * kBlock, from + x * 3, 3);
    }
    for (int64_t x = 0; x < width; ++x) {
      const auto at = static_cast<size_t>(x);
      weigh<kBlock>(columns.data() + taps.first[at] * kBlock, kBlock, taps.weights.data() + x * taps.most,
                    taps.count[at], taps.precision, results.data() + x * kBlock);
    }
    for (int64_t r = 0; r < there; ++r) {
      const uint8_t* const from = results.data() + r * 3;
      uint8_t* const to = out.row(y + r);
      for (int64_t x = 0; x < width; ++x) std::memcpy(to + x * 3, from + x * kBlock, 3);
    }
  }
  return out;
}

}  // namespace

Size smart_resize(Size image, const PixelLimits& limits) {
  check_sides(image);
  check_ratio(image.height, image.width);
  return fit(1, 1, image, limits);
}

Size smart_resize_video(int64_t frames, Size frame, const PixelLimits& limits, int64_t temporal) {
  if (frames < temporal) throw Error(fmt::format("has {} frames, a video has at least {}", frames, temporal));
  check_sides(frame);
  const double factor = static_cast<double>(limits.factor);
  const double h = static_cast<double>(frame.height), w = static_cast<double>(frame.width);
  if (frame.height < limits.factor || frame.width < limits.factor) {
    const double scale = std::max(factor / h, factor / w);
    frame = {static_cast<int64_t>(h * scale), static_cast<int64_t>(w * scale)};
  }
  check_ratio(frame.height, frame.width);
  return fit(static_cast<double>(frames), nearest(static_cast<double>(frames), temporal), frame, limits);
}

Image resize_bicubic(const Image& image, Size size) {
  DUAN_CHECK(image.height > 0 && image.width > 0 && size.height > 0 && size.width > 0, "{} x {} to {} x {}",
             image.width, image.height, size.width, size.height);
  if (image.width == size.width) return image.height == size.height ? image : resize_height(image, size.height);
  Image wide = resize_width(image, size.width);
  return image.height == size.height ? wide : resize_height(wide, size.height);
}

}  // namespace duan::vision
