#include "text/jinja_lexer.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/utf8.h"
#include "text/jinja_text.h"

namespace duan::text::jinja {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name(char c) { return is_name_start(c) || is_digit(c); }

// Line ends become \n, and one at the end of the template is dropped: Jinja's keep_trailing_newline is off.
std::string normalized(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  Lexer(std::string_view source, const std::string& where) : where_(where) {
    if (!utf8::is_valid(source)) throw Error("the template is not valid UTF-8", where);
    source_ = normalized(source);
  }

  std::vector<Token> run() {
    while (at_ < source_.size()) text();
    push(TokenType::End, "");
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(source_).substr(at_); }
  bool starts(std::string_view s) const { return rest().starts_with(s); }

  [[noreturn]] void fail(const std::string& what) const { throw Error(what, fmt::format("{}:{}", where_, line_)); }

  void push(TokenType type, std::string text) { tokens_.push_back({type, line_, std::move(text)}); }

  void advance(size_t bytes) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<ptrdiff_t>(at_),
                                         source_.begin() + static_cast<ptrdiff_t>(at_ + bytes), '\n'));
    at_ += bytes;
    if (bytes > 0) line_starting_ = source_[at_ - 1] == '\n';
  }

  void skip_space() { advance(rest().size() - strip(rest(), std::nullopt, Side::Left).size()); }

  void push_data(std::string_view text) {
    if (!text.empty()) push(TokenType::Data, std::string(text));
  }

  // The text before a tag: `sign` is the tag's - or + (or 0); `block` whether lstrip_blocks applies.
  std::string_view before_tag(std::string_view text, char sign, bool block) const {
    if (sign == '-') return strip(text, std::nullopt, Side::Right);
    if (sign == '+' || !block) return text;
    const size_t newline = text.rfind('\n');
    const size_t line_start = newline == text.npos ? 0 : newline + 1;
    if (line_start == 0 && !line_starting_) return text;
    return strip(text.substr(line_start), std::nullopt, Side::Left).empty() ? text.substr(0, line_start) : text;
  }

  char sign_at(size_t at) const {
    return at < source_.size() && (source_[at] == '-' || source_[at] == '+') ? source_[at] : '\0';
  }

  // Where, from `at`, the end of "{% raw %}" lies if that stands there.
  std::optional<size_t> raw_begin(size_t at) const {
    at += 2;
    if (sign_at(at) != 0) ++at;
    const auto spaces = [&] {
      const std::string_view left = std::string_view(source_).substr(at);
      at += left.size() - strip(left, std::nullopt, Side::Left).size();
    };
    spaces();
    if (!std::string_view(source_).substr(at).starts_with("raw")) return std::nullopt;
    at += 3;
    spaces();
    const std::string_view left = std::string_view(source_).substr(at);
    if (left.starts_with("%}")) return at + 2;
    if (!left.starts_with("-%}")) return std::nullopt;
    at += 3;
    spaces();
    return at;
  }

  void text() {
    size_t tag = at_;
    for (;; ++tag) {
      tag = source_.find('{', tag);
      if (tag == source_.npos || tag + 1 == source_.size()) {
        push_data(rest());
        at_ = source_.size();
        return;
      }
      const char next = source_[tag + 1];
      if (next == '{' || next == '%' || next == '#') break;
    }
    const char kind = source_[tag + 1];
    const char sign = sign_at(tag + 2);
    push_data(before_tag(std::string_view(source_).substr(at_, tag - at_), sign, kind != '{'));
    advance(tag - at_);
    if (kind == '#') return comment(sign);
    if (kind == '%') {
      if (const std::optional<size_t> raw = raw_begin(tag)) return raw_block(*raw);
    }
    push(kind == '{' ? TokenType::VariableBegin : TokenType::BlockBegin, "");
    advance(sign != 0 ? 3 : 2);
    expression(kind == '{');
  }

  void comment(char sign) {
    const size_t end = source_.find("#}", at_ + 2 + (sign != 0 ? 1 : 0));
    if (end == source_.npos) fail("a comment {# has no end #}");
    // In "{#-#}" the sign belongs to the opening.
    const char closing = end > at_ + 2 + (sign != 0 ? 1 : 0) ? source_[end - 1] : '\0';
    advance(end + 2 - at_);
    after_tag(closing);
  }

  // What follows the end of a block or comment: "-" eats white space, "+" nothing, else one newline goes.
  void after_tag(char sign) {
    if (sign == '-') {
      skip_space();
    } else if (sign != '+' && starts("\n")) {
      advance(1);
    }
  }

  void raw_block(size_t content) {
    const int opened = line_;
    advance(content - at_);
    for (size_t tag = source_.find("{%", at_); tag != source_.npos; tag = source_.find("{%", tag + 2)) {
      const char sign = sign_at(tag + 2);
      std::string_view left = std::string_view(source_).substr(tag + (sign != 0 ? 3 : 2));
      left = strip(left, std::nullopt, Side::Left);
      if (!left.starts_with("endraw")) continue;
      left = strip(left.substr(6), std::nullopt, Side::Left);
      const char closing = left.starts_with("-%}") ? '-' : left.starts_with("+%}") ? '+' : '\0';
      if (closing == 0 && !left.starts_with("%}")) continue;
      push_data(before_tag(std::string_view(source_).substr(at_, tag - at_), sign, true));
      const size_t end = source_.size() - left.size() + (closing != 0 ? 3 : 2);
      advance(end - at_);
      after_tag(closing);
      return;
    }
    line_ = opened;
    fail("{% raw %} has no {% endraw %}");
  }

  // Tokens up to the end of the tag.
  void expression(bool variable) {
    const int opened = line_;
    std::string open_brackets;
    for (;;) {
      skip_space();
      if (at_ == source_.size()) {
        line_ = opened;
        fail(fmt::format("a tag {} has no end {}", variable ? "{{" : "{%", variable ? "}}" : "%}"));
      }
      if (open_brackets.empty()) {
        const char sign = starts("-") || (!variable && starts("+")) ? source_[at_] : '\0';
        if (rest().substr(sign != 0 ? 1 : 0).starts_with(variable ? "}}" : "%}")) {
          push(variable ? TokenType::VariableEnd : TokenType::BlockEnd, "");
          advance(sign != 0 ? 3 : 2);
          if (variable) {
            if (sign == '-') skip_space();
          } else {
            after_tag(sign);
          }
          return;
        }
      }
      const char c = source_[at_];
      if (is_digit(c)) {
        number();
      } else if (is_name_start(c)) {
        size_t length = 1;
        while (at_ + length < source_.size() && is_name(source_[at_ + length])) ++length;
        push(TokenType::Name, std::string(rest().substr(0, length)));
        advance(length);
      } else if (c == '"' || c == '\'') {
        string(c);
      } else {
        operation(open_brackets);
      }
    }
  }

  size_t digits_at(size_t at) const {  // bytes of (\d+_)*\d+ from `at`
    size_t end = at;
    while (end < source_.size() &&
           (is_digit(source_[end]) || (source_[end] == '_' && end > at && is_digit(source_[end - 1]) &&
                                       end + 1 < source_.size() && is_digit(source_[end + 1])))) {
      ++end;
    }
    return end - at;
  }

  void number() {
    const char second = at_ + 1 < source_.size() ? static_cast<char>(source_[at_ + 1] | 0x20) : '\0';
    if (source_[at_] == '0' && (second == 'x' || second == 'o' || second == 'b')) {
      size_t end = at_ + 2;
      while (end < source_.size() && is_name(source_[end])) ++end;
      push(TokenType::Integer, source_.substr(at_, end - at_));
      return advance(end - at_);
    }
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';  // in a.0.1 there is no float
    size_t end = at_ + digits_at(at_);
    bool real = false;
    if (!after_dot) {
      if (end < source_.size() && source_[end] == '.' && digits_at(end + 1) > 0) {
        end += 1 + digits_at(end + 1);
        real = true;
      }
      if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
        const size_t sign = end + 1 < source_.size() && (source_[end + 1] == '+' || source_[end + 1] == '-') ? 1 : 0;
        if (const size_t exponent = digits_at(end + 1 + sign); exponent > 0) {
          end += 1 + sign + exponent;
          real = true;
        }
      }
    }
    if (!real && end - at_ > 1 && source_[at_] == '0' && source_.find_first_not_of("0_", at_) < end) {
      fail(fmt::format("the integer {} has leading zeros", printable(rest().substr(0, end - at_), 40)));
    }
    push(real ? TokenType::Float : TokenType::Integer, source_.substr(at_, end - at_));
    advance(end - at_);
  }

  void operation(std::string& open_brackets) {
    static constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                      "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                      ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
    for (const std::string_view op : kOperators) {
      if (!starts(op)) continue;
      if (op == "(" || op == "[" || op == "{") {
        open_brackets += op == "(" ? ')' : op == "[" ? ']' : '}';
      } else if (op == ")" || op == "]" || op == "}") {
        if (open_brackets.empty()) fail(fmt::format("unexpected '{}'", op));
        if (open_brackets.back() != op[0])
          fail(fmt::format("unexpected '{}', expected '{}'", op, open_brackets.back()));
        open_brackets.pop_back();
      }
      push(TokenType::Operator, std::string(op));
      return advance(op.size());
    }
    fail(fmt::format("unexpected character '{}'", printable(rest().substr(0, utf8::decode(rest()).bytes))));
  }

  char32_t hex(size_t at, size_t digits) const {
    char32_t code = 0;
    for (size_t i = at; i < at + digits; ++i) {
      const char c = i < source_.size() ? source_[i] : '\0';
      const char low = static_cast<char>(c | 0x20);
      if (!is_digit(c) && !(low >= 'a' && low <= 'f'))
        fail(fmt::format("an escape \\x, \\u or \\U needs {} hex digits", digits));
      code = code * 16 + static_cast<char32_t>(is_digit(c) ? c - '0' : low - 'a' + 10);
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) fail("an escape in a string is no character");
    return code;
  }

  // Python's escapes ("unicode-escape"), which Jinja applies to string literals.
  void string(char quote) {
    const int opened = line_;
    std::string value;
    size_t at = at_ + 1;
    for (;;) {
      if (at >= source_.size()) {
        line_ = opened;
        fail(fmt::format("a string has no closing {}", quote));
      }
      const char c = source_[at];
      if (c == quote) break;
      if (c != '\\' || at + 1 >= source_.size()) {
        value += c;
        ++at;
        continue;
      }
      const char escape = source_[at + 1];
      at += 2;
      static constexpr std::string_view kLetters = "\\'\"abfnrtv", kMeaning = "\\'\"\a\b\f\n\r\t\v";
      if (const size_t known = kLetters.find(escape); known != kLetters.npos) {
        value += kMeaning[known];
      } else if (escape == '\n') {
      } else if (escape >= '0' && escape <= '7') {
        char32_t code = static_cast<char32_t>(escape - '0');
        for (int i = 0; i < 2 && at < source_.size() && source_[at] >= '0' && source_[at] <= '7'; ++i) {
          code = code * 8 + static_cast<char32_t>(source_[at++] - '0');
        }
        utf8::append(value, code);
      } else if (escape == 'x' || escape == 'u' || escape == 'U') {
        const size_t digits = escape == 'x' ? 2 : escape == 'u' ? 4 : 8;
        utf8::append(value, hex(at, digits));
        at += digits;
      } else if (escape == 'N') {
        fail("\\N escapes are not supported");
      } else if (static_cast<unsigned char>(escape) >= 0x80) {
        fail("a backslash before a character that is not ASCII is not supported");
      } else {
        value += '\\';
        value += escape;
      }
    }
    push(TokenType::String, std::move(value));
    advance(at + 1 - at_);
  }

  const std::string& where_;
  std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::string describe(const Token& token) {
  switch (token.type) {
    case TokenType::Data:
      return "text";
    case TokenType::VariableBegin:
      return "'{{'";
    case TokenType::VariableEnd:
      return "'}}'";
    case TokenType::BlockBegin:
      return "'{%'";
    case TokenType::BlockEnd:
      return "'%}'";
    case TokenType::String:
      return "a string";
    case TokenType::End:
      return "the end of the template";
    default:
      return fmt::format("'{}'", printable(token.text, 40));
  }
}

std::vector<Token> tokenize(std::string_view source, const std::string& where) { return Lexer(source, where).run(); }

}  // namespace duan::text::jinja
