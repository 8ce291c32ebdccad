// What the files of a tokenizer say, before it is checked whether it makes sense.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace duan::text {

// Many short strings in one allocation.
class StringList {
 public:
  void push_back(std::string_view text) {
    bytes_ += text;
    ends_.push_back(bytes_.size());
  }
  size_t size() const { return ends_.size(); }
  std::string_view operator[](size_t i) const {
    const size_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(bytes_).substr(begin, ends_[i] - begin);
  }

 private:
  std::string bytes_;
  std::vector<size_t> ends_;
};

struct TokenizerFile {
  std::string where;  // the file, for errors
  Json settings;      // tokenizer.json without model.vocab and model.merges
  bool has_vocab = false, has_merges = false;
  StringList vocab;                // spelled in GPT-2's alphabet
  std::vector<int64_t> vocab_ids;  // one for each of `vocab`
  StringList merges;               // left and right in turn; rank = index / 2
};

// Throws Error: not JSON, not the form of a tokenizer.json.
TokenizerFile parse_tokenizer_json(std::string_view text, const std::string& where);

// vocab.json and merges.txt, with the settings transformers would use for the class named in tokenizer_config.json
// (Qwen2Tokenizer and GPT2Tokenizer are known; without a tokenizer_config.json Qwen2Tokenizer).
TokenizerFile read_vocab_and_merges(const std::filesystem::path& folder);

}  // namespace duan::text
