#include "vision/preprocessor.h"

#include <cstring>

#include "base/error.h"
#include "vision/pixel_hash.h"

namespace duan::vision {
namespace {

// (value - mean) / std of every byte and channel, as transformers computes it: mean and std are scaled by 255 first.
using Normalized = std::array<std::array<float, 256>, 3>;

Normalized normalized(const PreprocessorConfig& config) {
  Normalized table;
  for (size_t c = 0; c < 3; ++c) {
    const float mean = config.mean[c] * 255.0f, std = config.std[c] * 255.0f;
    for (size_t value = 0; value < 256; ++value) table[c][value] = (static_cast<float>(value) - mean) / std;
  }
  return table;
}

// `frames` are two pictures of one size, which may be the same picture.
std::vector<float> patchify(const std::array<const Image*, 2>& frames, const Grid& grid,
                            const PreprocessorConfig& config) {
  const Normalized table = normalized(config);
  const int64_t patch = config.patch_size, area = patch * patch, merge = config.merge_size;
  std::vector<float> row(static_cast<size_t>(config.columns()));
  std::vector<float> values;
  values.reserve(static_cast<size_t>(grid.patches() * config.columns()));

  // columns: channel, frame, y, x
  const auto cut = [&](int64_t top, int64_t left) {
    for (int64_t f = 0; f < 2; ++f) {
      if (f == 1 && frames[1] == frames[0]) break;
      for (int64_t y = 0; y < patch; ++y) {
        const uint8_t* from = frames[static_cast<size_t>(f)]->row(top + y) + left * 3;
        float* const to = row.data() + f * area + y * patch;
        for (int64_t x = 0; x < patch; ++x, from += 3) {
          to[x] = table[0][from[0]];
          to[2 * area + x] = table[1][from[1]];
          to[4 * area + x] = table[2][from[2]];
        }
      }
    }
    if (frames[1] == frames[0]) {
      for (int64_t c = 0; c < 3; ++c) {
        float* const first = row.data() + 2 * c * area;
        std::memcpy(first + area, first, static_cast<size_t>(area) * sizeof(float));
      }
    }
    values.insert(values.end(), row.begin(), row.end());
  };
  // rows: blocks row by row, and the patches of each row by row
  for (int64_t block_y = 0; block_y < grid.h; block_y += merge) {
    for (int64_t block_x = 0; block_x < grid.w; block_x += merge) {
      for (int64_t y = block_y; y < block_y + merge; ++y) {
        for (int64_t x = block_x; x < block_x + merge; ++x) cut(y * patch, x * patch);
      }
    }
  }
  return values;
}

Grid in_patches(Size size, const PreprocessorConfig& config) {
  return {1, size.height / config.patch_size, size.width / config.patch_size};
}

enum class Mode : uint64_t { still, frames };

}  // namespace

Size resized_size(Size image, const PreprocessorConfig& config) { return smart_resize(image, config.limits()); }

Grid grid_of(Size image, const PreprocessorConfig& config) { return in_patches(resized_size(image, config), config); }

Patches preprocess(const Image& image, const PreprocessorConfig& config) {
  const Image resized = resize_bicubic(image, resized_size({image.height, image.width}, config));
  const Grid grid = in_patches({resized.height, resized.width}, config);
  return {grid, patchify({&resized, &resized}, grid, config), pixel_hash(resized, static_cast<uint64_t>(Mode::still))};
}

Patches preprocess_frames(const Image& first, const Image& second, const Size& common,
                          const PreprocessorConfig& config) {
  const int64_t factor = config.limits().factor;
  DUAN_CHECK(common.height > 0 && common.width > 0 && common.height % factor == 0 && common.width % factor == 0,
             "frames of {} x {} pixels, expected multiples of {}", common.width, common.height, factor);
  const Image one = resize_bicubic(first, common), two = resize_bicubic(second, common);
  const Grid grid = in_patches(common, config);
  const uint64_t hash = pixel_hash(two, pixel_hash(one, static_cast<uint64_t>(Mode::frames)));
  return {grid, patchify({&one, &two}, grid, config), hash};
}

}  // namespace duan::vision
