#include "text/chat_template.h"

#include <algorithm>
#include <optional>
#include <system_error>

#include "base/error.h"
#include "text/jinja_evaluator.h"
#include "text/jinja_parser.h"

namespace duan::text {
namespace {

constexpr std::string_view kSpecialTokens[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                               "pad_token", "cls_token", "mask_token"};
constexpr std::string_view kReserved[] = {"messages", "tools", "documents", "add_generation_prompt"};

bool present(const std::filesystem::path& file) {
  std::error_code ignored;
  return std::filesystem::exists(file, ignored);
}

// bos_token and the like: a string, or {"content": string} as AddedToken is stored; null counts as absent.
jinja::Context special_tokens(const Json& config, const std::string& where) {
  jinja::Context tokens;
  for (const std::string_view name : kSpecialTokens) {
    const auto found = config.find(std::string(name));
    if (found == config.end() || found->is_null()) continue;
    const Json* text = &*found;
    if (text->is_object() && text->contains("content")) text = &(*text)["content"];
    if (!text->is_string()) throw Error(fmt::format("{} must be a string or {{\"content\": string}}", name), where);
    tokens.emplace_back(name, jinja::from_json(*text));
  }
  return tokens;
}

struct Source {
  std::string text, where;
  std::optional<std::string> tool_text;  // for conversations with tools
};

// A string, or a list of {"name", "template"}.
Source from_config(const Json& value, const std::string& where) {
  if (value.is_string()) return {value.get<std::string>(), where, std::nullopt};
  if (!value.is_array()) throw Error("chat_template must be a string or a list of {name, template}", where);
  std::optional<std::string> standard, tools;
  for (const Json& entry : value) {
    if (!entry.is_object()) throw Error("an entry of chat_template is not {name, template}", where);
    const std::string name = json_at<std::string>(entry, "name", where),
                      text = json_at<std::string>(entry, "template", where);
    if (name == "default") standard = text;
    if (name == "tool_use") tools = text;
  }
  if (!standard) throw Error("chat_template is a list without an entry named 'default'", where);
  return {*standard, where, tools};
}

Source find_source(const std::filesystem::path& folder, const Json& config) {
  const std::filesystem::path jinja = folder / "chat_template.jinja", json = folder / "chat_template.json";
  if (present(jinja)) return {read_file(jinja), jinja.string(), std::nullopt};
  if (present(json)) {
    const Json document = read_json(json);
    if (!document.is_object() || !document.contains("chat_template"))
      throw Error("there is no key chat_template", json.string());
    return from_config(document["chat_template"], json.string());
  }
  const std::string where = (folder / "tokenizer_config.json").string();
  if (config.contains("chat_template") && !config["chat_template"].is_null())
    return from_config(config["chat_template"], where);
  throw Error(
      "the model has no chat template: no chat_template.jinja, no chat_template.json, and no chat_template in "
      "tokenizer_config.json",
      folder.string(), "base models have none; give plain text instead of a conversation");
}

}  // namespace

struct ChatTemplate::Content {
  jinja::Template main;
  std::optional<jinja::Template> with_tools;
  jinja::Context tokens;
  TemplateLimits limits;
};

ChatTemplate ChatTemplate::load(const std::filesystem::path& folder, const TemplateLimits& limits) {
  const std::filesystem::path file = folder / "tokenizer_config.json";
  Json config = Json::object();
  if (present(file)) config = read_json(file);
  if (!config.is_object()) throw Error("the file does not hold a JSON object", file.string());
  const Source source = find_source(folder, config);
  auto content = std::make_shared<Content>();
  content->limits = limits;
  content->main = jinja::parse_template(source.text, source.where, limits);
  if (source.tool_text)
    content->with_tools = jinja::parse_template(*source.tool_text, source.where + " (tool_use)", limits);
  content->tokens = special_tokens(config, file.string());
  ChatTemplate result;
  result.content_ = std::move(content);
  return result;
}

ChatTemplate ChatTemplate::parse(std::string_view source, const std::string& where, const TemplateLimits& limits) {
  auto content = std::make_shared<Content>();
  content->limits = limits;
  content->main = jinja::parse_template(source, where, limits);
  ChatTemplate result;
  result.content_ = std::move(content);
  return result;
}

const std::string& ChatTemplate::where() const { return content_->main.where; }

std::string ChatTemplate::render(const TemplateInput& input) const {
  const bool tools = !input.tools.is_null();
  if (!input.messages.is_array()) throw Error("messages must be a list", where());
  if (tools && !input.tools.is_array()) throw Error("tools must be a list or null", where());
  if (!input.kwargs.is_object()) throw Error("the arguments of a chat template must be an object", where());
  jinja::Context context = content_->tokens;
  try {
    context.emplace_back("messages", jinja::from_json(input.messages));
    context.emplace_back("tools", jinja::from_json(input.tools));
    context.emplace_back("documents", jinja::Value::none());
    context.emplace_back("add_generation_prompt", jinja::Value::boolean(input.add_generation_prompt));
    for (const auto& [name, value] : input.kwargs.items()) {
      if (std::find(std::begin(kReserved), std::end(kReserved), name) != std::end(kReserved)) {
        throw Error(fmt::format("argument '{}' of a chat template is reserved", name));
      }
      if (value.is_structured() || value.is_binary() || value.is_discarded()) {
        throw Error(fmt::format(
            "argument '{}' of a chat template is {}; only null, true, false, numbers and strings are allowed",
            printable(name, 40), value.type_name()));
      }
      context.emplace_back(name, jinja::from_json(value));
    }
  } catch (const Error& error) {
    throw error.at(where());
  }
  const jinja::Template& source = tools && content_->with_tools ? *content_->with_tools : content_->main;
  return jinja::evaluate(source, context, content_->limits);
}

}  // namespace duan::text
