// The pictures of a conversation among its tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cli/content.h"
#include "cli/image_reader.h"
#include "text/tokenizer.h"

namespace duan::cli {

// Those of --image, then the video of --video-frames.
std::vector<Picture> pictures_of(const ImageOptions& options);

// A prompt with its pictures in place.
struct ImagePrompt {
  std::vector<int64_t> ids;
  std::shared_ptr<const engine::SequenceImages> images{};  // nullptr: there are none
  std::vector<uint64_t> hashes{};                          // of images->images(), in order
  int64_t pictures = 0, image_tokens = 0;
  double image_seconds = 0;  // spent on pictures that were not known
};

// Puts as many tokens in place of each image_pad and video_pad of the rendered `ids` as its picture has. The frames of
// a video come in pairs behind the time of their middle, "<0.2 seconds>" at `fps` frames a second, as transformers 5
// writes them. Throws Error: the template has not as many places as there are pictures, or one cannot be read.
ImagePrompt place_pictures(std::vector<int64_t> ids, const std::vector<Picture>& pictures, ImageReader& reader,
                           const checkpoint::ImageTokens& tokens, const text::Tokenizer& tokenizer, double fps);

}  // namespace duan::cli
