// What a decoder that sees images is fed in place of ids.
#pragma once

#include <onnxruntime_cxx_api.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/sequence_images.h"
#include "ort/model_folder.h"
#include "ort/session.h"

namespace duan::ort {

class ImageInputs {
 public:
  // Verifies and opens the folder's embed_tokens.onnx. Requires folder.images. Throws Error.
  ImageInputs(const ModelFolder& folder, const Options& options);

  // Throws Error if they are not what the model's own tower makes.
  void set(std::shared_ptr<const engine::SequenceImages> images);

  // Binds embeddings, positions and deepstack rows of the tokens from `position` of the sequence on. Valid until the
  // next call. Throws Error, Ort::Exception.
  void bind(Ort::IoBinding& binding, std::span<const int64_t> ids, int64_t position);

  int64_t weight_bytes() const { return weight_bytes_; }

 private:
  // Rows of images in place of pads, and the rows of deepstack, all [ids, width].
  void put_images(std::span<float> embeds, int64_t tokens, int64_t position);

  std::filesystem::path file_;
  int64_t width_ = 0, weight_bytes_ = 0;
  Ort::MemoryInfo memory_ = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  Ort::Session session_{nullptr};
  std::shared_ptr<const engine::SequenceImages> images_;
  Ort::Value embeds_{nullptr};
  std::vector<int64_t> positions_;            // [3, 1, tokens]
  std::vector<std::string> deepstack_names_;  // of the decoder's inputs
  std::vector<std::vector<float>> deepstack_;
};

}  // namespace duan::ort
