// duan template: what a conversation looks like to the model.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/lines.h"
#include "cli/model_options.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace duan::cli {
namespace {

struct TemplateOptions {
  std::string model, messages;
  bool no_generation_prompt = false;
  std::string think = "auto";
  bool ids_only = false, json = false, jsonl = false;
};

// A list of messages, or an object with them and what else the template takes.
text::TemplateInput template_input(const Json& json, const TemplateOptions& options, const std::string& where) {
  text::TemplateInput input;
  input.add_generation_prompt = !options.no_generation_prompt;
  if (json.is_object()) {
    input.messages = json_at<Json>(json, "messages", where);
    input.tools = json_or<Json>(json, "tools", nullptr, where);
    input.add_generation_prompt = json_or<bool>(json, "add_generation_prompt", input.add_generation_prompt, where);
    input.kwargs = json_or<Json>(json, "kwargs", Json::object(), where);
    if (!input.kwargs.is_object()) throw Error("\"kwargs\" is not an object", where);
  } else {
    input.messages = json;
  }
  if (!input.messages.is_array()) throw Error("the messages are not a list", where);
  if (options.think != "auto") input.kwargs["enable_thinking"] = options.think == "on";
  return input;
}

void render(const TemplateOptions& options) {
  const auto folder = model_folder(options.model);
  const auto chat_template = text::ChatTemplate::load(folder);
  std::optional<text::Tokenizer> tokenizer;
  if (options.ids_only || options.json || options.jsonl) tokenizer = text::Tokenizer::load(folder);
  const auto answer = [&](const Json& json, const std::string& where) -> Json {
    const std::string rendered = chat_template.render(template_input(json, options, where));
    return {{"rendered", rendered}, {"ids", tokenizer->encode(rendered, false)}};
  };
  if (options.jsonl) {
    for_each_json_line([&](const Json& line) { return answer(line, ""); });
    return;
  }
  const std::string where = options.messages.empty() || options.messages == "-" ? "stdin" : options.messages;
  const Json json = parse_json(read_input(options.messages), where);
  if (options.ids_only) {
    fmt::print("{}\n", fmt::join(answer(json, where)["ids"].get<std::vector<int64_t>>(), ","));
  } else if (options.json) {
    fmt::print("{}\n", to_text(answer(json, where)));
  } else {
    fmt::print("{}", chat_template.render(template_input(json, options, where)));
  }
}

}  // namespace

void add_template(CLI::App& app) {
  auto options = std::make_shared<TemplateOptions>();
  CLI::App* command = app.add_subcommand("template", "Render a conversation with the model's chat template");
  command->add_option("model,-m,--model", options->model, "Folder with the tokenizer's files, or 'demo'")->required();
  auto* messages = command->add_option("messages", options->messages,
                                       "JSON: a list of messages, or an object with messages, tools, "
                                       "add_generation_prompt, kwargs; without it or with -, stdin");
  messages->type_name("FILE");
  command->add_flag("--no-generation-prompt", options->no_generation_prompt, "Do not begin the assistant's turn");
  command->add_option("--think", options->think, "on, off, or auto (what the template does by itself)")
      ->check(CLI::IsMember({"on", "off", "auto"}));
  auto* ids = command->add_flag("--ids", options->ids_only, "Only the ids: 1,2,3");
  auto* json = command->add_flag("--json", options->json, "One JSON object: rendered, ids")->excludes(ids);
  command->add_flag("--jsonl", options->jsonl, "The same per line of stdin")->excludes(ids, json, messages);
  command->footer(
      "Example: echo '[{\"role\": \"user\", \"content\": \"hello\"}]' | duan template demo\n"
      "Unlike run and chat, the ids are those of the rendered text: tokens written out in a message count as tokens.");
  command->callback([options] { render(*options); });
}

}  // namespace duan::cli
