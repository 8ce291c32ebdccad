// Pictures as a model sees them: from files to the rows that stand in a token sequence.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/config.h"
#include "cli/image_options.h"
#include "engine/image_encoder.h"
#include "vision/preprocessor.h"

namespace duan::cli {

// One picture, read: its rows, and how it got there.
struct ReadImage {
  std::shared_ptr<const engine::ImageFeatures> features;
  uint64_t hash = 0;     // of its pixels after resizing
  vision::Size size;     // of the picture as seen
  vision::Size resized;  // what the tower was given
  double seconds = 0;    // of decoding, resizing and the tower; 0 if it was known
};

class ImageReader {
 public:
  // The folder's preprocessor_config.json, and a tower for `config`. Throws Error: the model sees no images, or the
  // preprocessor's sizes are not the tower's.
  ImageReader(const std::filesystem::path& folder, const checkpoint::ModelConfig& config,
              std::unique_ptr<engine::ImageEncoder> encoder, const ImageOptions& options);

  // A picture whose pixels were seen before is not encoded again. Throws Error as vision::read_image does.
  ReadImage read(const std::filesystem::path& file);
  ReadImage read(const vision::Image& image);

  // Pairs of a video's frames, in order; the last frame of an odd number is paired with itself.
  std::vector<ReadImage> read_frames(const std::vector<std::filesystem::path>& files);

  const vision::PreprocessorConfig& preprocessor() const { return preprocessor_; }
  engine::ImageEncoder& encoder() { return *encoder_; }

 private:
  ReadImage encode(const vision::Patches& patches);

  checkpoint::VisionConfig config_;
  vision::PreprocessorConfig preprocessor_, video_;
  std::unique_ptr<engine::ImageEncoder> encoder_;
  std::map<uint64_t, std::shared_ptr<const engine::ImageFeatures>> known_;  // by hash
};

}  // namespace duan::cli
