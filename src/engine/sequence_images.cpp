#include "engine/sequence_images.h"

#include <algorithm>

#include "base/error.h"

namespace duan::engine {

SequenceImages::SequenceImages(std::vector<Image> images) : images_(std::move(images)) {
  int64_t index = 0, position = 0;  // after what came before
  for (const Image& image : images_) {
    DUAN_CHECK(image.first >= index, "an image at {} begins within the one before", image.first);
    position += image.first - index;
    begin_.push_back(position);
    position += std::max(image.features->rows, image.features->columns);
    index = image.first + image.features->tokens();
  }
}

SequenceImages SequenceImages::place(std::span<const int64_t> ids, std::span<const Kind> kinds) {
  std::vector<Image> images;
  std::vector<size_t> used(kinds.size(), 0);
  for (size_t at = 0; at < ids.size();) {
    const auto kind = std::find_if(kinds.begin(), kinds.end(), [&](const Kind& k) { return k.pad == ids[at]; });
    if (kind == kinds.end()) {
      ++at;
      continue;
    }
    size_t end = at;
    while (end < ids.size() && ids[end] == ids[at]) ++end;
    size_t& next = used[static_cast<size_t>(kind - kinds.begin())];
    if (next == kind->features.size()) {
      throw Error(fmt::format("token {} stands for an image at {}, but there are only {}", ids[at], at, next));
    }
    const int64_t tokens = kind->features[next]->tokens(), run = static_cast<int64_t>(end - at);
    if (run != tokens) {
      throw Error(fmt::format("the image at token {} has {} tokens, the sequence keeps {} for it", at, tokens, run));
    }
    images.push_back({static_cast<int64_t>(at), kind->features[next]});
    ++next;
    at = end;
  }
  for (size_t i = 0; i < kinds.size(); ++i) {
    if (used[i] == kinds[i].features.size()) continue;
    throw Error(fmt::format("the sequence has {} places for {} images", used[i], kinds[i].features.size()));
  }
  return SequenceImages(std::move(images));
}

size_t SequenceImages::after(int64_t index) const {
  const auto later = std::upper_bound(images_.begin(), images_.end(), index,
                                      [](int64_t at, const Image& image) { return at < image.first; });
  return static_cast<size_t>(later - images_.begin());
}

std::array<int64_t, 3> SequenceImages::position(int64_t index) const {
  const size_t count = after(index);
  if (count == 0) return {index, index, index};
  const Image& image = images_[count - 1];
  const ImageFeatures& features = *image.features;
  const int64_t begin = begin_[count - 1], within = index - image.first;
  if (within < features.tokens()) {
    return {begin, begin + within / features.columns, begin + within % features.columns};
  }
  const int64_t at = begin + std::max(features.rows, features.columns) + within - features.tokens();
  return {at, at, at};
}

std::pair<const ImageFeatures*, int64_t> SequenceImages::row(int64_t index) const {
  const size_t count = after(index);
  if (count == 0) return {nullptr, 0};
  const Image& image = images_[count - 1];
  const int64_t within = index - image.first;
  if (within >= image.features->tokens()) return {nullptr, 0};
  return {image.features.get(), within};
}

}  // namespace duan::engine
