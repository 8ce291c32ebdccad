#include "cli/prompt_encoder.h"

#include <algorithm>

#include "base/error.h"
#include "base/utf8.h"

namespace duan::cli {
namespace {

constexpr char32_t kPrivateBegin = 0x100000, kPrivateEnd = 0x10FFFE;  // plane 16

// Calls what(text) for every string of the value, keys included, and gives the value with the results.
template <typename Function>
Json map_strings(const Json& value, const Function& what) {
  if (value.is_string()) return what(value.get_ref<const std::string&>());
  if (value.is_array()) {
    Json out = Json::array();
    for (const Json& item : value) out.push_back(map_strings(item, what));
    return out;
  }
  if (value.is_object()) {
    Json out = Json::object();
    for (const auto& [key, item] : value.items()) out[what(key)] = map_strings(item, what);
    return out;
  }
  return value;
}

}  // namespace

char32_t free_placeholders(const text::Tokenizer& tokenizer, const text::TemplateInput& input) {
  const auto count = static_cast<char32_t>(tokenizer.added_tokens().size());
  std::vector<char32_t> used;
  const auto note = [&](const std::string& text) {
    for (std::string_view rest = text; !rest.empty();) {
      const utf8::Decoded decoded = utf8::decode(rest);
      if (decoded.code >= kPrivateBegin) used.push_back(decoded.code);
      rest.remove_prefix(decoded.bytes);
    }
    return text;
  };
  map_strings(input.messages, note);
  map_strings(input.tools, note);
  map_strings(input.kwargs, note);
  std::sort(used.begin(), used.end());
  used.push_back(kPrivateEnd);
  char32_t first = kPrivateBegin;
  for (const char32_t code : used) {
    if (code >= first + count) return first;
    first = code + 1;
  }
  throw Error("uses every character that could stand for a token", "the conversation");
}

std::string hide_tokens(const text::Tokenizer& tokenizer, std::string_view text, char32_t first, bool special_only) {
  const std::vector<text::AddedToken>& tokens = tokenizer.added_tokens();
  std::string out;
  while (!text.empty()) {
    size_t longest = 0, found = 0;
    for (size_t i = 0; i < tokens.size(); ++i) {
      const std::string& content = tokens[i].content;
      if (content.size() <= longest || content[0] != text[0] || (special_only && !tokens[i].special)) continue;
      if (text.starts_with(content)) longest = content.size(), found = i;
    }
    if (longest > 0) {
      utf8::append(out, first + static_cast<char32_t>(found));
    } else {
      out += text[0];
    }
    text.remove_prefix(std::max<size_t>(longest, 1));
  }
  return out;
}

std::vector<int64_t> encode_hidden(const text::Tokenizer& tokenizer, std::string_view rendered, char32_t first) {
  const std::vector<text::AddedToken>& tokens = tokenizer.added_tokens();
  std::vector<int64_t> ids;
  const auto append = [&](const std::vector<int64_t>& more) { ids.insert(ids.end(), more.begin(), more.end()); };
  size_t begin = 0;
  for (size_t at = 0; at < rendered.size();) {
    const utf8::Decoded decoded = utf8::decode(rendered.substr(at));
    if (decoded.code >= first && decoded.code - first < tokens.size()) {
      append(tokenizer.encode(rendered.substr(begin, at - begin), false));
      append(tokenizer.encode_plain(tokens[decoded.code - first].content));
      begin = at + decoded.bytes;
    }
    at += decoded.bytes;
  }
  append(tokenizer.encode(rendered.substr(begin), false));
  return ids;
}

std::vector<int64_t> encode_conversation(const text::Tokenizer& tokenizer, const text::ChatTemplate& chat_template,
                                         const text::TemplateInput& input) {
  const char32_t first = free_placeholders(tokenizer, input);
  const auto hide = [&](bool special_only) {
    return [&tokenizer, first, special_only](const std::string& text) {
      return hide_tokens(tokenizer, utf8::replace_invalid(text), first, special_only);
    };
  };
  text::TemplateInput hidden = input;
  hidden.tools = map_strings(input.tools, hide(false));
  for (Json& message : hidden.messages) {
    const bool assistant = message.is_object() && message.value("role", Json()) == "assistant";
    message = map_strings(message, hide(assistant));
  }
  return encode_hidden(tokenizer, chat_template.render(hidden), first);
}

}  // namespace duan::cli
