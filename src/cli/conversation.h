// The messages of a chat, and keeping them in a file.
#pragma once

#include <filesystem>
#include <string>

#include "base/json.h"

namespace duan::cli {

class Conversation {
 public:
  void set_system(const std::string& text);  // the first message; an empty text removes it
  std::string system() const;
  void clear();                                                 // all but the system message
  void add_user(const Json& content) { add("user", content); }  // a text, or a list of parts
  void add_assistant(const std::string& text) { add("assistant", text); }

  // Takes the last user message and what came after it away and gives its content; nothing to take gives null.
  Json take_last_turn();

  const Json& messages() const { return messages_; }

  // {"messages": [{"role", "content"}, ...]}; images are named by their files. Both throw Error naming the file; a
  // failed load changes nothing.
  void save(const std::filesystem::path& file) const;
  void load(const std::filesystem::path& file);

 private:
  void add(const char* role, const Json& content);

  Json messages_ = Json::array();
};

}  // namespace duan::cli
