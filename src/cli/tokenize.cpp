// duan tokenize, duan detokenize.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "base/utf8.h"
#include "cli/commands.h"
#include "cli/lines.h"
#include "cli/model_options.h"
#include "text/tokenizer.h"

namespace duan::cli {
namespace {

struct TokenizeOptions {
  std::string model;
  std::optional<std::string> text;
  std::string ids;
  bool plain = false, no_special = false, skip_special = false;
  bool ids_only = false, json = false, jsonl = false;
};

// The token's own bytes; some are part of a character only.
std::string token_text(const text::Tokenizer& tokenizer, int64_t id) {
  return utf8::replace_invalid(tokenizer.token_bytes(id));
}

// For people: part of a character as its bytes.
std::string quoted(std::string_view bytes) {
  if (utf8::is_valid(bytes)) return printable(bytes, bytes.size() * 4);
  std::string out;
  for (const char byte : bytes) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  return out;
}

std::vector<int64_t> encode(const text::Tokenizer& tokenizer, const TokenizeOptions& options, std::string_view text) {
  return options.plain ? tokenizer.encode_plain(text) : tokenizer.encode(text, !options.no_special);
}

void tokenize(const TokenizeOptions& options) {
  const text::Tokenizer tokenizer = text::Tokenizer::load(model_folder(options.model));
  if (options.jsonl) {
    for_each_json_line([&](const Json& line) -> Json {
      if (!line.contains("bytes_b64")) {
        return {{"ids", encode(tokenizer, options, json_at<std::string>(line, "text", ""))}};
      }
      const std::string bytes = decode_base64(json_at<std::string>(line, "bytes_b64", ""));
      return {{"text", utf8::replace_invalid(bytes)}, {"ids", encode(tokenizer, options, bytes)}};
    });
    return;
  }
  const std::vector<int64_t> ids = encode(tokenizer, options, options.text ? *options.text : read_stdin());
  if (options.json) {
    Json tokens = Json::array();
    for (const int64_t id : ids) tokens.push_back(token_text(tokenizer, id));
    fmt::print("{}\n", to_text(Json{{"ids", ids}, {"tokens", tokens}}));
  } else if (options.ids_only) {
    fmt::print("{}\n", fmt::join(ids, ","));
  } else {
    for (const int64_t id : ids) fmt::print("{:>7}  \"{}\"\n", id, quoted(tokenizer.token_bytes(id)));
  }
}

void detokenize(const TokenizeOptions& options) {
  const text::Tokenizer tokenizer = text::Tokenizer::load(model_folder(options.model));
  if (options.jsonl) {
    for_each_json_line([&](const Json& line) -> Json {
      const Json list = json_at<Json>(line, "ids", "");
      return {{"text", tokenizer.decode(ids_of(list, "ids"), options.skip_special)}};
    });
    return;
  }
  const std::string text =
      tokenizer.decode(parse_ids(options.ids.empty() ? read_stdin() : options.ids, "IDS"), options.skip_special);
  if (options.json) {
    fmt::print("{}\n", to_text(Json{{"text", text}}));
  } else {
    fmt::print("{}\n", text);
  }
}

}  // namespace

void add_tokenize(CLI::App& app) {
  auto options = std::make_shared<TokenizeOptions>();
  CLI::App* command = app.add_subcommand("tokenize", "Token ids of a text");
  command->add_option("model,-m,--model", options->model, "Folder with the tokenizer's files, or 'demo'")->required();
  auto* text = command->add_option("text", options->text, "The text; without it, stdin");
  command->add_flag("--plain", options->plain, "Take nothing in the text for an added token (as a user's text is)");
  command->add_flag("--no-special", options->no_special, "Do not add the tokens some models want around a text");
  auto* ids = command->add_flag("--ids", options->ids_only, "Only the ids: 1,2,3");
  auto* json = command->add_flag("--json", options->json, "One JSON object: ids, tokens")->excludes(ids);
  command->add_flag("--jsonl", options->jsonl, "A JSON object per line of stdin: text or bytes_b64 in; ids out")
      ->excludes(ids, json, text);
  command->footer(
      "Added tokens in the text, like <|im_start|>, are recognised.\n"
      "Examples: duan tokenize demo \"hello\"\n"
      "          duan tokenize Qwen3-1.7B --ids < article.txt\n"
      "          echo '{\"text\": \"hello\"}' | duan tokenize demo --jsonl");
  command->callback([options] { tokenize(*options); });

  options = std::make_shared<TokenizeOptions>();
  command = app.add_subcommand("detokenize", "The text of token ids");
  command->add_option("model,-m,--model", options->model, "Folder with the tokenizer's files, or 'demo'")->required();
  auto* list = command->add_option("ids", options->ids, "1,2,3; without them, stdin");
  command->add_flag("--skip-special", options->skip_special, "Leave special tokens out");
  json = command->add_flag("--json", options->json, "One JSON object: text");
  command->add_flag("--jsonl", options->jsonl, "A JSON object per line of stdin: ids in; text out")
      ->excludes(list, json);
  command->footer("Example: duan detokenize demo 108386,3837,99489");
  command->callback([options] { detokenize(*options); });
}

}  // namespace duan::cli
