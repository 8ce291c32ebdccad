#include "ort/image_inputs.h"

#include <algorithm>

#include "base/error.h"
#include "ir/graph.h"
#include "onnx/names.h"
#include "ort/runtime.h"

namespace duan::ort {

ImageInputs::ImageInputs(const ModelFolder& folder, const Options& options)
    : file_(folder.images->embedding), width_(folder.images->config.out_hidden_size) {
  const onnx::VerifiedModel model = onnx::verify_file(file_);
  weight_bytes_ = model.facts.weight_bytes;
  session_ = asked(file_, [&] { return open_session(model, options); });
  const size_t levels = folder.images->config.deepstack_visual_indexes.size();
  for (size_t i = 0; i < levels; ++i) deepstack_names_.push_back(fmt::format("{}{}", ir::kDeepstackEmbeds, i));
  deepstack_.resize(levels);
}

void ImageInputs::set(std::shared_ptr<const engine::SequenceImages> images) {
  if (images != nullptr) {
    for (const engine::SequenceImages::Image& image : images->images()) {
      const engine::ImageFeatures& f = *image.features;
      if (f.width == width_ && f.deepstack.size() == deepstack_.size()) continue;
      throw Error(fmt::format("an image has rows of {} values and {} levels, the decoder takes {} and {}", f.width,
                              f.deepstack.size(), width_, deepstack_.size()),
                  file_.parent_path().string());
    }
  }
  images_ = std::move(images);
}

void ImageInputs::put_images(std::span<float> embeds, int64_t tokens, int64_t position) {
  for (std::vector<float>& level : deepstack_) level.assign(embeds.size(), 0.0f);
  for (int64_t t = 0; images_ != nullptr && t < tokens; ++t) {
    const auto [features, row] = images_->row(position + t);
    if (features == nullptr) continue;
    const auto place = [&, row = row](const std::vector<float>& from, float* to) {
      std::copy_n(from.begin() + row * width_, width_, to + t * width_);
    };
    place(features->embeds, embeds.data());
    for (size_t i = 0; i < deepstack_.size(); ++i) place(features->deepstack[i], deepstack_[i].data());
  }
}

void ImageInputs::bind(Ort::IoBinding& binding, std::span<const int64_t> ids, int64_t position) {
  const auto tokens = static_cast<int64_t>(ids.size());
  const std::vector<int64_t> of_ids{1, tokens}, of_rows{1, tokens, width_}, of_positions{3, 1, tokens};
  asked(file_, [&] {
    const char* const inputs[] = {ir::kInputIds.data()};
    const char* const outputs[] = {onnx::kInputsEmbeds};
    const Ort::Value fed = input_tensor(memory_, ids, of_ids);
    embeds_ = std::move(session_.Run(Ort::RunOptions{nullptr}, inputs, &fed, 1, outputs, 1).at(0));
    put_images(floats_of(embeds_, onnx::kInputsEmbeds, of_rows), tokens, position);
  });
  binding.BindInput(onnx::kInputsEmbeds, embeds_);

  positions_.resize(static_cast<size_t>(3 * tokens));
  for (int64_t t = 0; t < tokens; ++t) {
    const int64_t at = position + t;
    const std::array<int64_t, 3> place = images_ == nullptr ? std::array{at, at, at} : images_->position(at);
    for (size_t axis = 0; axis < place.size(); ++axis) {
      positions_[axis * ids.size() + static_cast<size_t>(t)] = place[axis];
    }
  }
  binding.BindInput(ir::kPositionIds.data(), input_tensor<int64_t>(memory_, positions_, of_positions));
  for (size_t i = 0; i < deepstack_.size(); ++i) {
    binding.BindInput(deepstack_names_[i].c_str(), input_tensor<float>(memory_, deepstack_[i], of_rows));
  }
}

}  // namespace duan::ort
