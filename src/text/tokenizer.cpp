#include "text/tokenizer.h"

#include <algorithm>

#include "base/error.h"
#include "text/bpe.h"
#include "text/tokenizer_added.h"
#include "text/tokenizer_file.h"
#include "text/tokenizer_settings.h"
#include "text/unicode.h"

namespace duan::text {

struct Tokenizer::State {
  std::string where;
  TokenizerSettings settings;
  Bpe bpe;
  AddedTokenMatcher raw, normalized;
  std::unordered_map<int64_t, std::string> added_bytes;  // of added tokens that are no base tokens
  std::unordered_map<std::string, int64_t> added_by_content;
  std::vector<bool> special;  // by id
  int64_t vocab_size = 0;

  State(const TokenizerFile& file, TokenizerSettings read);

  // The text between added tokens, normalized.
  void encode_base(std::string_view text, std::vector<int64_t>& out, Bpe::Scratch& scratch) const {
    settings.pretokenizer.split(text, [&](std::string_view piece) { bpe.encode(piece, out, scratch); });
  }

  // `inside` for the text around the added tokens `matcher` finds.
  template <typename Inside>
  void split_added(const AddedTokenMatcher& matcher, std::string_view text, std::vector<int64_t>& out,
                   const Inside& inside) const {
    size_t at = 0;
    while (const auto match = matcher.find(text, at)) {
      inside(text.substr(at, match->begin - at));
      out.push_back(match->id);
      at = match->end;
    }
    inside(text.substr(at));
  }
};

Tokenizer::State::State(const TokenizerFile& file, TokenizerSettings read)
    : where(file.where), settings(std::move(read)), bpe(file, settings.ignore_merges) {
  const TokenTable& base = bpe.tokens();
  vocab_size = base.size();
  std::string bytes, buffer;
  for (const AddedToken& token : settings.added) {
    const auto fail = [&](const std::string& what) {
      throw Error(fmt::format("added token \"{}\" has the id {}, {}", printable(token.content, 60), token.id, what),
                  where);
    };
    // The library matches and prints such a token in its normalized form. Its decoder takes what is spelled in the byte
    // alphabet for bytes, and anything else for itself.
    const std::string_view content =
        token.normalized && settings.nfc ? to_nfc(token.content, buffer) : std::string_view(token.content);
    const bool in_alphabet = bytes_of_spelling(content, bytes);
    if (!in_alphabet) bytes = content;
    const int64_t base_id = in_alphabet ? base.find(bytes) : -1;
    if (base.has(token.id)) {
      if (base.bytes(token.id) != bytes) fail("which model.vocab gives to another token");
    } else if (base_id >= 0) {
      fail(fmt::format("which is {} in model.vocab", base_id));
    } else {
      added_bytes.emplace(token.id, bytes);
    }
    added_by_content.emplace(token.content, token.id);
    vocab_size = std::max(vocab_size, token.id + 1);
    (token.normalized ? normalized : raw).add(content, token.id);
  }
  special.resize(static_cast<size_t>(vocab_size));
  for (const AddedToken& token : settings.added) special[static_cast<size_t>(token.id)] = token.special;
  for (const auto* ids : {&settings.prefix, &settings.suffix}) {
    for (const int64_t id : *ids) {
      if (!base.has(id) && !added_bytes.contains(id)) {
        throw Error(fmt::format("post_processor: the id {} has no token", id), where);
      }
    }
  }
}

Tokenizer Tokenizer::from_file(const TokenizerFile& file) {
  TokenizerSettings settings = read_settings(file.settings, file.where);
  if (!file.has_vocab) throw Error("model.vocab: missing or not an object of tokens and their ids", file.where);
  if (!file.has_merges) throw Error("model.merges: missing or not a list", file.where);
  return Tokenizer(std::make_shared<State>(file, std::move(settings)));
}

Tokenizer Tokenizer::from_json(std::string_view tokenizer_json, const std::string& where) {
  return from_file(parse_tokenizer_json(tokenizer_json, where));
}

Tokenizer Tokenizer::load(const std::filesystem::path& folder) {
  if (!std::filesystem::is_directory(folder)) throw Error("no such folder", folder.string());
  if (const auto file = folder / "tokenizer.json"; std::filesystem::exists(file)) {
    return from_json(read_file(file, 256u << 20), file.string());
  }
  if (!std::filesystem::exists(folder / "vocab.json") || !std::filesystem::exists(folder / "merges.txt")) {
    throw Error("holds no tokenizer: expected tokenizer.json, or vocab.json and merges.txt", folder.string());
  }
  return from_file(read_vocab_and_merges(folder));
}

std::vector<int64_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  const State& s = *state_;
  std::string valid_buffer, nfc_buffer;
  text = valid_utf8(text, valid_buffer);
  Bpe::Scratch scratch(text.size());
  std::vector<int64_t> out;
  if (add_special_tokens) out = s.settings.prefix;
  s.split_added(s.raw, text, out, [&](std::string_view part) {
    s.split_added(s.normalized, s.settings.nfc ? to_nfc(part, nfc_buffer) : part, out,
                  [&](std::string_view rest) { s.encode_base(rest, out, scratch); });
  });
  if (add_special_tokens) out.insert(out.end(), s.settings.suffix.begin(), s.settings.suffix.end());
  return out;
}

std::vector<int64_t> Tokenizer::encode_plain(std::string_view text) const {
  std::string valid_buffer, nfc_buffer;
  text = valid_utf8(text, valid_buffer);
  Bpe::Scratch scratch(text.size());
  std::vector<int64_t> out;
  state_->encode_base(state_->settings.nfc ? to_nfc(text, nfc_buffer) : text, out, scratch);
  return out;
}

std::string Tokenizer::decode(std::span<const int64_t> ids, bool skip_special) const {
  std::string bytes;
  for (const int64_t id : ids) {
    const std::string_view token = token_bytes(id);
    if (!(skip_special && is_special(id))) bytes += token;
  }
  std::string buffer;
  return std::string(valid_utf8(bytes, buffer));
}

std::string_view Tokenizer::token_bytes(int64_t id) const {
  if (state_->bpe.tokens().has(id)) return state_->bpe.tokens().bytes(id);
  const auto it = state_->added_bytes.find(id);
  if (it == state_->added_bytes.end()) {
    throw Error(fmt::format("id {} has no token; the vocabulary ends at {}", id, state_->vocab_size - 1),
                state_->where);
  }
  return it->second;
}

std::optional<int64_t> Tokenizer::id_of(std::string_view content) const {
  const auto it = state_->added_by_content.find(std::string(content));
  if (it != state_->added_by_content.end()) return it->second;
  const int32_t id = content.empty() ? -1 : state_->bpe.tokens().find(content);
  return id < 0 ? std::nullopt : std::optional<int64_t>(id);
}

int64_t Tokenizer::vocab_size() const { return state_->vocab_size; }
bool Tokenizer::has_token(int64_t id) const { return state_->bpe.tokens().has(id) || state_->added_bytes.contains(id); }
bool Tokenizer::is_special(int64_t id) const {
  return id >= 0 && id < state_->vocab_size && state_->special[static_cast<size_t>(id)];
}
const std::vector<AddedToken>& Tokenizer::added_tokens() const { return state_->settings.added; }

std::string StreamingDecoder::push(int64_t id) {
  const std::string_view bytes = tokenizer_.token_bytes(id);
  if (skip_special_ && tokenizer_.is_special(id)) return "";
  return assembler_.push(bytes);
}

}  // namespace duan::text
