// What a message holds beside text: pictures, named by their files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"

namespace duan::cli {

// A picture, or the frames of a video.
struct Picture {
  bool is_video = false;
  std::vector<std::filesystem::path> files;  // one; of a video: its frames, in order
};

// Content of a message: pictures, then the text; the text alone where there are none.
Json content_with(const std::vector<Picture>& pictures, const std::string& text);

// Throws Error unless content is a string, or a list of {"type": "text", "text"}, {"type": "image", "image": FILE},
// {"type": "image_url", "image_url": {"url": FILE}} and {"type": "video", "video": [FILE, ...]}.
void check_content(const Json& content, const std::string& where);

// All that the messages name, in order. Their contents were checked before.
std::vector<Picture> pictures_in(const Json& messages);

}  // namespace duan::cli
