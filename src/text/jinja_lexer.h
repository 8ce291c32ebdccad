// Splits a template into tokens, with the white space rules transformers sets: trim_blocks and lstrip_blocks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace duan::text::jinja {

enum class TokenType : unsigned char {
  Data,           // text to be copied
  VariableBegin,  // {{
  VariableEnd,
  BlockBegin,  // {%
  BlockEnd,
  Name,
  String,
  Integer,
  Float,
  Operator,
  End,
};

struct Token {
  TokenType type;
  int line;          // from 1
  std::string text;  // Data: the text; String: its value, escapes resolved; else as written
  bool is(TokenType t, std::string_view s) const { return type == t && text == s; }
};

// For messages: what the token is, in words.
std::string describe(const Token& token);

// Throws Error with "where:line" for anything that is not a token, unterminated tags, and invalid UTF-8.
std::vector<Token> tokenize(std::string_view source, const std::string& where);

}  // namespace duan::text::jinja
