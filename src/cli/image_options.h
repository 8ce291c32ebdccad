// What the commands that read pictures share.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace duan::cli {

struct ImageOptions {
  int64_t min_pixels = 0, max_pixels = 0;  // 0: as preprocessor_config.json says
  std::vector<std::string> images, video_frames;
  double fps = 2;  // of video_frames
};

// --image, --video-frames, --fps, --min-pixels, --max-pixels.
void add_image_options(CLI::App& command, ImageOptions& options);

}  // namespace duan::cli
