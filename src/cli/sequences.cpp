#include "cli/sequences.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "cli/answers.h"
#include "ort/model_folder.h"
#include "text/tokenizer.h"

namespace duan::cli {
namespace {

using Ids = std::vector<int64_t>;
constexpr size_t kMaxFileBytes = size_t{1} << 30;

Ids to_ids(const Json& list, const std::string& file) {
  Ids ids;
  for (const Json& id : list) {
    if (!id.is_number_integer()) throw Error("a token id is " + printable(to_text(id), 40), file);
    ids.push_back(id.get<int64_t>());
  }
  return ids;
}

std::vector<Ids> cut(Ids ids, int64_t window, int64_t max_tokens) {
  if (max_tokens > 0 && static_cast<size_t>(max_tokens) < ids.size()) ids.resize(static_cast<size_t>(max_tokens));
  const size_t step = window > 0 ? static_cast<size_t>(window) : ids.size();
  std::vector<Ids> sequences;
  for (size_t at = 0; at < ids.size(); at += step) {
    sequences.emplace_back(ids.begin() + static_cast<int64_t>(at),
                           ids.begin() + static_cast<int64_t>(std::min(ids.size(), at + step)));
  }
  return sequences;
}

// A JSON list of id lists; or one flat list, cut into windows.
std::vector<Ids> from_json(const SequenceOptions& options) {
  const std::string& file = options.ids_file;
  const Json json = read_json(file, {.max_bytes = kMaxFileBytes, .max_depth = 8});
  if (!json.is_array() || json.empty()) throw Error("expected a JSON list of lists of token ids", file);
  if (!json[0].is_array()) return cut(to_ids(json, file), options.window, options.max_tokens);
  for (const auto& [flag, value] : {std::pair("--window", options.window), {"--max-tokens", options.max_tokens}}) {
    if (value > 0) throw Error("cuts one flat list of ids, the file is a list of lists", flag);
  }
  std::vector<Ids> sequences;
  for (const Json& list : json) {
    if (!list.is_array()) throw Error("mixes lists and numbers", file);
    sequences.push_back(to_ids(list, file));
  }
  return sequences;
}

}  // namespace

void add_sequence_options(CLI::App& command, SequenceOptions& options) {
  auto* ids = command.add_option("--ids", options.ids_file, "JSON: a list of lists of token ids, or one flat list");
  ids->type_name("FILE");
  auto* text = command.add_option("--text", options.text_file, "A text, tokenized as the model's tokenizer does");
  text->type_name("FILE")->excludes(ids);
  auto* chat =
      command.add_option("--chat", options.chat_file,
                         "Dialogues, {\"messages\": [...]} a line: only the assistant's answers are predicted");
  chat->type_name("FILE")->excludes(ids, text);
  command
      .add_option(
          "--think", options.think,
          "on, off, or auto: whether the prompt of an answer lets the model think, for chat templates that know "
          "it")
      ->needs(chat)
      ->check(CLI::IsMember({"on", "off", "auto"}));
  command
      .add_option("--window", options.window,
                  fmt::format("Cut a text or a flat list into sequences of this many ids (default: {} for a text, a "
                              "list is not cut)",
                              kTextWindow))
      ->excludes(chat)
      ->check(CLI::Range(2, 1 << 30));
  command
      .add_option("-n,--max-tokens", options.max_tokens,
                  "Take the first ids of a text, of a flat list, or of each dialogue only")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 40));
}

int64_t Sequences::tokens() const {
  int64_t count = 0;
  for (const Ids& sequence : ids) count += static_cast<int64_t>(sequence.size());
  return count;
}

int64_t Sequences::predicted_tokens() const {
  int64_t count = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    count += static_cast<int64_t>(eval::predicted_positions(predicted, i, ids[i].size()).size());
  }
  return count;
}

Sequences read_sequences(const SequenceOptions& options, const std::filesystem::path& folder, int64_t context) {
  if (!options.ids_file.empty()) return {from_json(options), {}};
  if (options.text_file.empty() && options.chat_file.empty()) {
    throw CLI::RequiredError("--ids FILE, --text FILE or --chat FILE");
  }
  const text::Tokenizer tokenizer = text::Tokenizer::load(folder);
  if (!options.chat_file.empty()) {
    const AnswerOptions how{.think = options.think,
                            .stop_ids = ort::read_generation_config(folder).eos_token_ids,
                            .max_tokens = options.max_tokens,
                            .context = context};
    Answers answers = read_answers(options.chat_file, tokenizer, text::ChatTemplate::load(folder), how);
    return {std::move(answers.ids), std::move(answers.predicted)};
  }
  const Ids ids = tokenizer.encode(read_file(options.text_file, kMaxFileBytes));
  if (ids.size() < 2) throw Error("has fewer than two tokens", options.text_file);
  return {cut(ids, options.window > 0 ? options.window : std::min(kTextWindow, context), options.max_tokens), {}};
}

}  // namespace duan::cli
