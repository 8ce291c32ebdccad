#include "cli/image_options.h"

namespace duan::cli {

void add_image_options(CLI::App& command, ImageOptions& options) {
  const CLI::Range pixels(int64_t{1}, int64_t{1} << 30);
  command.add_option("--image", options.images, "A picture (PNG, JPEG, WebP); may be given several times")
      ->allow_extra_args(false)
      ->type_name("FILE");
  command.add_option("--video-frames", options.video_frames, "Pictures of a video in order: a.png,b.png")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("FILES");
  command.add_option("--fps", options.fps, "Frames a second of --video-frames")
      ->check(CLI::Range(0.001, 1000.0))
      ->capture_default_str();
  command
      .add_option("--min-pixels", options.min_pixels,
                  "Least area of a picture after resizing; a token is 32 x 32 pixels (default: the model's)")
      ->check(pixels);
  command.add_option("--max-pixels", options.max_pixels, "Largest area of a picture after resizing")->check(pixels);
}

}  // namespace duan::cli
