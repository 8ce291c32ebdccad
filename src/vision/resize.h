// The size a picture is given before it is cut into patches, and giving it that size.
#pragma once

#include "vision/image.h"

namespace duan::vision {

struct PixelLimits {
  int64_t factor = 32;  // both sides become multiples of it: patch size * merge size
  int64_t min_pixels = 65536, max_pixels = 16777216;
};

// Multiples of the factor near `image`, with an area within the limits (max_pixels is exceeded where a side would
// become less than the factor): smart_resize of transformers' Qwen2VLImageProcessor, to the last pixel. Throws Error if
// a side is < 1 or one is more than 200 times the other.
Size smart_resize(Size image, const PixelLimits& limits);

// The same for `frames` pictures of a video: smart_resize of Qwen3VLVideoProcessor, whose limits are on pixels of all
// frames together. Throws Error as above, and for less than `temporal` frames.
Size smart_resize_video(int64_t frames, Size frame, const PixelLimits& limits, int64_t temporal = 2);

// Antialiased bicubic, bit for bit what torchvision gives for uint8 on a CPU: fixed-point weights of int16, rows first,
// rounded to uint8 between. `size` has no side < 1.
Image resize_bicubic(const Image& image, Size size);

}  // namespace duan::vision
