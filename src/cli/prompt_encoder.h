// From a conversation to token ids, so that nothing a user writes is taken for a token of the template.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace duan::cli {

// Texts in the messages and tools that read like added tokens ("<|im_end|>") are put through the template as one
// private-use character each and encoded as plain text afterwards; so a text is split there, as if it were the token.
// What the assistant said keeps the added tokens that are not special ("</think>"), which templates look for.
// Throws Error where the template does.
std::vector<int64_t> encode_conversation(const text::Tokenizer& tokenizer, const text::ChatTemplate& chat_template,
                                         const text::TemplateInput& input);

// The parts of it, for tests: texts with the added tokens replaced. Placeholder `first + i` stands for token i of
// tokenizer.added_tokens().
char32_t free_placeholders(const text::Tokenizer& tokenizer, const text::TemplateInput& input);
std::string hide_tokens(const text::Tokenizer& tokenizer, std::string_view text, char32_t first, bool special_only);
std::vector<int64_t> encode_hidden(const text::Tokenizer& tokenizer, std::string_view rendered, char32_t first);

}  // namespace duan::cli
