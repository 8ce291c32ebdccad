#include "text/chat_samples.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace duan::text {

void for_each_sample_line(const std::filesystem::path& file,
                          const std::function<void(const Json& sample, const std::string& where)>& use) {
  const std::string content = read_file(file, kMaxSampleFileBytes);
  size_t number = 0;
  for (size_t at = 0; at < content.size();) {
    const size_t end = std::min(content.find('\n', at), content.size());
    const std::string_view line = std::string_view(content).substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}:{}", file.string(), number);
    use(parse_json(line, where), where);
  }
}

TemplateInput conversation_of(const Json& sample, const std::string& where) {
  TemplateInput input;
  input.messages = json_at<Json>(sample, "messages", where);
  input.tools = json_or<Json>(sample, "tools", nullptr, where);
  input.add_generation_prompt = false;
  if (!input.messages.is_array()) throw Error("\"messages\" is not a list", where);
  for (const Json& message : input.messages) {
    if (!message.is_object()) throw Error("a message is not an object with \"role\" and \"content\"", where);
    json_at<std::string>(message, "role", where);
  }
  return input;
}

Error refused_by_template(const Error& error, const std::string& where) {
  return Error(fmt::format("the chat template ({}) refuses it: {}", error.where(), error.message()), where,
               error.hint());
}

}  // namespace duan::text
