#include "cli/sequences.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
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
  command.add_option("--text", options.text_file, "A text, tokenized as the model's tokenizer does")
      ->type_name("FILE")
      ->excludes(ids);
  command
      .add_option("--window", options.window,
                  fmt::format("Cut a text or a flat list into sequences of this many ids (default: {} for a text, a "
                              "list is not cut)",
                              kTextWindow))
      ->check(CLI::Range(2, 1 << 30));
  command.add_option("-n,--max-tokens", options.max_tokens, "Take the first ids of a text or a flat list only")
      ->check(CLI::Range(int64_t{2}, int64_t{1} << 40));
}

std::vector<Ids> read_sequences(const SequenceOptions& options, const std::filesystem::path& tokenizer_folder,
                                int64_t context) {
  if (!options.ids_file.empty()) return from_json(options);
  if (options.text_file.empty()) throw CLI::RequiredError("--ids FILE or --text FILE");
  const text::Tokenizer tokenizer = text::Tokenizer::load(tokenizer_folder);
  const Ids ids = tokenizer.encode(read_file(options.text_file, kMaxFileBytes));
  if (ids.size() < 2) throw Error("has fewer than two tokens", options.text_file);
  return cut(ids, options.window > 0 ? options.window : std::min(kTextWindow, context), options.max_tokens);
}

int64_t count_tokens(const std::vector<Ids>& sequences) {
  int64_t count = 0;
  for (const Ids& ids : sequences) count += static_cast<int64_t>(ids.size());
  return count;
}

}  // namespace duan::cli
