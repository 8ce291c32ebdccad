#include "cli/conversation.h"

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/utf8.h"
#include "cli/content.h"

namespace duan::cli {

void Conversation::add(const char* role, const Json& content) {
  const bool text = content.is_string();
  messages_.push_back(
      {{"role", role}, {"content", text ? Json(utf8::replace_invalid(content.get<std::string>())) : content}});
}

std::string Conversation::system() const {
  return !messages_.empty() && messages_[0]["role"] == "system" ? messages_[0]["content"].get<std::string>() : "";
}

void Conversation::set_system(const std::string& text) {
  Json rest = std::move(messages_);
  messages_ = Json::array();
  if (!text.empty()) add("system", text);
  for (Json& message : rest) {
    if (message["role"] != "system") messages_.push_back(std::move(message));
  }
}

void Conversation::clear() {
  const std::string kept = system();
  messages_ = Json::array();
  set_system(kept);
}

Json Conversation::take_last_turn() {
  for (size_t i = messages_.size(); i-- > 0;) {
    if (messages_[i]["role"] != "user") continue;
    Json content = std::move(messages_[i]["content"]);
    messages_.erase(messages_.begin() + static_cast<std::ptrdiff_t>(i), messages_.end());
    return content;
  }
  return {};
}

void Conversation::save(const std::filesystem::path& file) const {
  write_file_atomically(file, to_text(Json{{"messages", messages_}}, 2) + "\n");
}

void Conversation::load(const std::filesystem::path& file) {
  const Json json = read_json(file);
  const Json loaded = json.is_array() ? json : json_at<Json>(json, "messages", file.string());
  if (!loaded.is_array()) throw Error("\"messages\" is not a list", file.string());
  Json messages = Json::array();
  for (const Json& message : loaded) {
    const std::string role = json_at<std::string>(message, "role", file.string());
    if (role != "user" && role != "assistant" && !(role == "system" && messages.empty())) {
      throw Error("a message has the role \"" + printable(role, 40) + "\", expected user or assistant (first: system)",
                  file.string());
    }
    const Json content = json_at<Json>(message, "content", file.string());
    if (role == "user") {
      check_content(content, file.string());
    } else if (!content.is_string()) {
      throw Error("\"content\" of a message of " + role + " is not a string", file.string());
    }
    messages.push_back({{"role", role}, {"content", content}});
  }
  messages_ = std::move(messages);
}

}  // namespace duan::cli
