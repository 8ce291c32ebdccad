// From pictures to the rows of patches that the vision tower of Qwen3-VL reads: what transformers'
// Qwen2VLImageProcessor and Qwen3VLVideoProcessor do.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "vision/image.h"
#include "vision/resize.h"

namespace duan::vision {

// preprocessor_config.json. Areas are in pixels.
struct PreprocessorConfig {
  int64_t min_pixels = 65536, max_pixels = 16777216;
  int64_t patch_size = 16;
  int64_t merge_size = 2;           // patches per side of a block, which becomes one token
  int64_t temporal_patch_size = 2;  // frames per patch; no other is supported
  std::array<float, 3> mean{.5f, .5f, .5f}, std{.5f, .5f, .5f};

  PixelLimits limits() const { return {patch_size * merge_size, min_pixels, max_pixels}; }
  int64_t columns() const { return 3 * temporal_patch_size * patch_size * patch_size; }

  // Of a model's folder. Without the file, and for keys it lacks, the values above. Throws Error for values out of
  // range and for keys that ask for other arithmetic, such as do_resize = false.
  static PreprocessorConfig load(const std::filesystem::path& folder);
  // The same for video_preprocessor_config.json, whose areas are those of all frames together: 4096 to 25165824 unless
  // it says otherwise.
  static PreprocessorConfig load_video(const std::filesystem::path& folder);
};

// In patches: frame pairs, rows, columns.
struct Grid {
  int64_t t = 1, h = 0, w = 0;

  int64_t patches() const { return t * h * w; }
  int64_t tokens(int64_t merge) const { return patches() / (merge * merge); }
  bool operator==(const Grid&) const = default;
};

struct Patches {
  Grid grid;
  std::vector<float> values;  // [grid.patches(), 3 (rgb), 2 (frames), patch, patch], rows in block-major order
  uint64_t hash = 0;          // of the resized pixels, size and mode; see pixel_hash.h
};

// The size a picture is resized to, and the patches it has then. Throw Error as smart_resize does.
Size resized_size(Size image, const PreprocessorConfig& config);
Grid grid_of(Size image, const PreprocessorConfig& config);

// A still fills both frames of its patches. Throws Error as smart_resize does.
Patches preprocess(const Image& image, const PreprocessorConfig& config);

// One pair of a video's frames (t = 1), both resized to `common`, which is smart_resize_video's for the whole video.
// The last frame of an odd number is paired with itself.
Patches preprocess_frames(const Image& first, const Image& second, const Size& common,
                          const PreprocessorConfig& config);

}  // namespace duan::vision
