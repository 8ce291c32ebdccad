#include "cli/content.h"

#include "base/error.h"
#include "base/utf8.h"

namespace duan::cli {
namespace {

std::string file_of(const Json& part, const std::string& where) {
  const std::string type = json_at<std::string>(part, "type", where);
  if (type == "image") return json_at<std::string>(part, "image", where);
  const auto url = part.find("image_url");
  if (url != part.end() && url->is_string()) return url->get<std::string>();
  if (url != part.end() && url->is_object()) return json_at<std::string>(*url, "url", where);
  throw Error("a part of type image_url has no \"image_url\"", where);
}

std::vector<std::string> frames_of(const Json& part, const std::string& where) {
  const auto video = part.find("video");
  std::vector<std::string> files;
  if (video != part.end() && video->is_array()) {
    for (const Json& frame : *video) {
      if (frame.is_string()) files.push_back(frame.get<std::string>());
    }
    if (!files.empty() && files.size() == video->size()) return files;
  }
  throw Error("\"video\" is not a list of the files of its frames", where);
}

bool is_image(const std::string& type) { return type == "image" || type == "image_url"; }

}  // namespace

Json content_with(const std::vector<Picture>& pictures, const std::string& text) {
  const std::string valid = utf8::replace_invalid(text);
  if (pictures.empty()) return valid;
  Json parts = Json::array();
  for (const Picture& picture : pictures) {
    if (!picture.is_video) {
      parts.push_back({{"type", "image"}, {"image", picture.files.at(0).string()}});
      continue;
    }
    Json frames = Json::array();
    for (const auto& file : picture.files) frames.push_back(file.string());
    parts.push_back({{"type", "video"}, {"video", std::move(frames)}});
  }
  parts.push_back({{"type", "text"}, {"text", valid}});
  return parts;
}

void check_content(const Json& content, const std::string& where) {
  if (content.is_string()) return;
  if (!content.is_array()) throw Error("\"content\" is neither a string nor a list of parts", where);
  for (const Json& part : content) {
    if (!part.is_object()) throw Error("a part of \"content\" is not an object", where);
    const std::string type = json_at<std::string>(part, "type", where);
    if (type == "text") {
      json_at<std::string>(part, "text", where);
    } else if (is_image(type)) {
      if (file_of(part, where).starts_with("http")) {
        throw Error("an image is an address on the network; only files are read", where, "download it first");
      }
    } else if (type == "video") {
      frames_of(part, where);
    } else {
      throw Error(fmt::format("a part of type \"{}\" is not supported, only text, image, image_url and video",
                              printable(type, 40)),
                  where);
    }
  }
}

std::vector<Picture> pictures_in(const Json& messages) {
  std::vector<Picture> pictures;
  for (const Json& message : messages) {
    const auto content = message.find("content");
    if (content == message.end() || !content->is_array()) continue;
    for (const Json& part : *content) {
      const std::string type = json_at<std::string>(part, "type", "messages");
      if (is_image(type)) pictures.push_back({false, {file_of(part, "messages")}});
      if (type != "video") continue;
      const std::vector<std::string> frames = frames_of(part, "messages");
      pictures.push_back({true, {frames.begin(), frames.end()}});
    }
  }
  return pictures;
}

}  // namespace duan::cli
