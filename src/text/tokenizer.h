// Byte-level BPE tokenizers as Hugging Face checkpoints store them: Qwen's, Llama-3's and their relatives.
// Ids and texts are exactly those of the `tokenizers` library.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"

namespace duan::text {

struct TokenizerFile;

// A token recognised in the text as a whole, before anything else happens to it.
struct AddedToken {
  int64_t id = 0;
  std::string content;
  bool special = false;     // dropped by decode with skip_special
  bool normalized = false;  // matched after normalization instead of on the raw text
};

// Immutable; copies share their data. All functions may be called from several threads.
class Tokenizer {
 public:
  // A folder with tokenizer.json, or vocab.json + merges.txt (+ tokenizer_config.json with added_tokens_decoder).
  // Throws Error: a missing file, a malformed one, or a feature that is not supported, by the name of its field.
  static Tokenizer load(const std::filesystem::path& folder);
  static Tokenizer from_json(std::string_view tokenizer_json, const std::string& where);

  // Added tokens in the text are recognised; invalid UTF-8 is replaced first. `add_special_tokens` puts in what the
  // post-processor wants around a text (Llama-3: BOS; Qwen: nothing): pass false for text a chat template rendered.
  std::vector<int64_t> encode(std::string_view text, bool add_special_tokens = true) const;

  // The text of a user: nothing in it is taken for an added token, and nothing is put around it.
  std::vector<int64_t> encode_plain(std::string_view text) const;

  // Valid UTF-8, U+FFFD for each maximal subpart that is not. Throws Error for an id that has no token.
  std::string decode(std::span<const int64_t> ids, bool skip_special = false) const;

  // The bytes one token stands for, which may be part of a character. Throws Error for an id that has no token.
  std::string_view token_bytes(int64_t id) const;

  // The added token with this content, else the base token with these bytes.
  std::optional<int64_t> id_of(std::string_view content) const;

  int64_t vocab_size() const;  // the largest id with a token + 1; the model's embedding may have more rows
  bool has_token(int64_t id) const;
  bool is_special(int64_t id) const;
  const std::vector<AddedToken>& added_tokens() const;  // by id

 private:
  struct State;
  explicit Tokenizer(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  static Tokenizer from_file(const TokenizerFile& file);

  std::shared_ptr<const State> state_;
};

// Turns ids into text one at a time. No piece ends inside a UTF-8 character; together the pieces are what decode gives.
class StreamingDecoder {
 public:
  explicit StreamingDecoder(const Tokenizer& tokenizer, bool skip_special = true)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}

  std::string push(int64_t id);  // throws Error for an id that has no token
  std::string finish() { return assembler_.finish(); }

 private:
  Tokenizer tokenizer_;
  bool skip_special_;
  utf8::Assembler assembler_;
};

}  // namespace duan::text
