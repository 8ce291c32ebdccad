// Chat templates: from a conversation to the text a model was trained on.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/jinja_limits.h"

namespace duan::text {

struct TemplateInput {
  Json messages;         // list of {"role", "content", ...}
  Json tools = nullptr;  // list of tools, or null
  bool add_generation_prompt = true;
  Json kwargs = Json::object();  // such as enable_thinking; scalars only
};

// A template in the Jinja dialect of transformers: an ImmutableSandboxedEnvironment with trim_blocks, lstrip_blocks,
// loop controls, {% generation %}, tojson as json.dumps, raise_exception and strftime_now. What it does not support is
// an Error when the template is parsed. Immutable; render may run in several threads.
class ChatTemplate {
 public:
  // From chat_template.jinja, else chat_template.json, else tokenizer_config.json (a string, or a list of {"name",
  // "template"} of which "tool_use" is taken when tools are given and "default" otherwise). The special tokens of
  // tokenizer_config.json are given to the template. Throws Error if there is no template.
  static ChatTemplate load(const std::filesystem::path& folder, const TemplateLimits& limits = {});

  // `where` names the source in errors.
  static ChatTemplate parse(std::string_view source, const std::string& where, const TemplateLimits& limits = {});

  // Throws Error, with the line of the template in where().
  std::string render(const TemplateInput& input) const;

  const std::string& where() const;  // the file it came from

 private:
  struct Content;
  std::shared_ptr<const Content> content_;
};

}  // namespace duan::text
