// The images of a token sequence: which rows stand in for embeddings, and where its tokens are.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace duan::engine {

// What a vision tower makes of one image, or of one pair of a video's frames: a row for each merged patch, row-major.
struct ImageFeatures {
  int64_t rows = 0, columns = 0;  // of merged patches
  int64_t width = 0;
  std::vector<float> embeds;                  // [rows * columns, width]
  std::vector<std::vector<float>> deepstack;  // the same for each level

  int64_t tokens() const { return rows * columns; }
};

class SequenceImages {
 public:
  struct Image {
    int64_t first = 0;  // index of its first token
    std::shared_ptr<const ImageFeatures> features;
  };

  // Images in the order of their tokens, which must not overlap.
  explicit SequenceImages(std::vector<Image> images);

  // What stands where a token is repeated: images where image_pad is, frames of videos where video_pad is.
  struct Kind {
    int64_t pad = 0;                                              // the token
    std::vector<std::shared_ptr<const ImageFeatures>> features;  // in the order of the sequence
  };
  // One for each run of its kind's pads among the ids. Throws Error if there are more or fewer runs than features, or
  // one is not as long as its features have tokens.
  static SequenceImages place(std::span<const int64_t> ids, std::span<const Kind> kinds);

  // (t, h, w) of the token at `index`: text counts on; an image's tokens count from where it begins, by row and by
  // column; what follows is one beyond the largest of them (SPEC.md section 3, M-RoPE).
  std::array<int64_t, 3> position(int64_t index) const;

  // The image whose row stands at `index`, and which row; {nullptr, 0} for text.
  std::pair<const ImageFeatures*, int64_t> row(int64_t index) const;

  std::span<const Image> images() const { return images_; }

 private:
  size_t after(int64_t index) const;  // the number of images that begin at or before `index`

  std::vector<Image> images_;
  std::vector<int64_t> begin_;  // by image: the position of its first token
};

}  // namespace duan::engine
