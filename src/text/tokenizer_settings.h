// The parts of tokenizer.json around the model, read and checked.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "text/pretokenize.h"
#include "text/tokenizer.h"

namespace duan::text {

struct TokenizerSettings {
  bool nfc = false;
  bool ignore_merges = false;  // a piece that is a token is not merged from bytes
  Pretokenizer pretokenizer;
  std::vector<int64_t> prefix, suffix;  // put around a text by the post-processor
  std::vector<AddedToken> added;        // ids and contents are distinct, ids in [0, kMaxTokenId]
};

// Throws Error naming the field: malformed, or asking for what is not supported.
TokenizerSettings read_settings(const Json& settings, const std::string& where);

}  // namespace duan::text
