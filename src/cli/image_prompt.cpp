#include "cli/image_prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"

namespace duan::cli {

std::vector<Picture> pictures_of(const ImageOptions& options) {
  std::vector<Picture> pictures;
  for (const std::string& file : options.images) pictures.push_back({false, {file}});
  if (!options.video_frames.empty()) {
    pictures.push_back({true, {options.video_frames.begin(), options.video_frames.end()}});
  }
  return pictures;
}

ImagePrompt place_pictures(std::vector<int64_t> ids, const std::vector<Picture>& pictures, ImageReader& reader,
                           const checkpoint::ImageTokens& tokens, const text::Tokenizer& tokenizer, double fps) {
  ImagePrompt prompt;
  engine::SequenceImages::Kind images{tokens.image, {}}, frames{tokens.video, {}};
  const auto append = [&](const ReadImage& read, engine::SequenceImages::Kind& kind) {
    prompt.ids.insert(prompt.ids.end(), static_cast<size_t>(read.features->tokens()), kind.pad);
    prompt.hashes.push_back(read.hash);
    prompt.image_tokens += read.features->tokens();
    prompt.image_seconds += read.seconds;
    kind.features.push_back(read.features);
  };
  size_t next = 0;
  for (const int64_t id : ids) {
    if (id != tokens.image && id != tokens.video) {
      prompt.ids.push_back(id);
      continue;
    }
    if (next == pictures.size() || pictures[next].is_video != (id == tokens.video)) {
      throw Error(fmt::format("the chat template has a place for {} where the messages have {}",
                              id == tokens.video ? "a video" : "an image",
                              next == pictures.size()   ? "none"
                              : pictures[next].is_video ? "a video"
                                                        : "an image"));
    }
    const Picture& picture = pictures[next++];
    if (!picture.is_video) {
      append(reader.read(picture.files.at(0)), images);
      continue;
    }
    const std::vector<ReadImage> pairs = reader.read_frames(picture.files);
    for (size_t pair = 0; pair < pairs.size(); ++pair) {
      const size_t first = 2 * pair, second = std::min(first + 1, picture.files.size() - 1);
      const double middle = static_cast<double>(first + second) / 2 / fps;
      for (const int64_t text : tokenizer.encode(fmt::format("<{:.1f} seconds>", middle))) prompt.ids.push_back(text);
      prompt.ids.push_back(tokens.vision_start);
      append(pairs[pair], frames);
      prompt.ids.push_back(tokens.vision_end);
    }
  }
  if (next < pictures.size()) {
    throw Error(fmt::format("the chat template has places for {} of {} pictures", next, pictures.size()), "",
                "the model's template does not know images: use that of Qwen3-VL");
  }
  prompt.pictures = static_cast<int64_t>(pictures.size());
  if (!pictures.empty()) {
    prompt.images = std::make_shared<engine::SequenceImages>(
        engine::SequenceImages::place(prompt.ids, std::array{std::move(images), std::move(frames)}));
  }
  return prompt;
}

}  // namespace duan::cli
