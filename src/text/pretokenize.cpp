#include "text/pretokenize.h"

#include "base/error.h"
#include "text/unicode.h"

namespace duan::text {

const std::string_view kQwenPattern =
    R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re";
const std::string_view kLlama3Pattern =
    R"re((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)re";
const std::string_view kGpt2Pattern =
    R"re('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)re";

namespace {

constexpr uint32_t kLongS = 0x17F;  // matches s under (?i:)

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
bool is_newline(char32_t code) { return code == '\r' || code == '\n'; }

// kQwenPattern and kLlama3Pattern by hand. The alternatives are tried in the pattern's order; every piece is found in
// time linear in its length plus the white space after it.
class Scanner final : public Splitter {
 public:
  explicit Scanner(size_t max_digits) : max_digits_(max_digits), table_(UnicodeTable::get()) {
    for (size_t byte = 0; byte < 128; ++byte) ascii_[byte] = table_.char_class(static_cast<char32_t>(byte));
  }

  void split(std::string_view text, const PieceSink& sink) const override {
    for (size_t at = 0; at < text.size();) {
      const size_t end = piece_end(text, at);
      sink(text.substr(at, end - at));
      at = end;
    }
  }

 private:
  struct Char {
    char32_t code;
    uint32_t bytes;
    CharClass kind;
  };

  Char char_at(std::string_view text, size_t at) const {
    const auto first = static_cast<uint8_t>(text[at]);
    if (first < 0x80) return {first, 1, ascii_[first]};
    const CodeAt c = code_at(text, at);
    return {c.code, c.bytes, table_.char_class(c.code)};
  }

  size_t run_end(std::string_view text, size_t at, CharClass kind) const {
    while (at < text.size()) {
      const Char c = char_at(text, at);
      if (c.kind != kind) break;
      at += c.bytes;
    }
    return at;
  }

  // (?i:'s|'t|'re|'ve|'m|'ll|'d) with text[at] == '\''; 0 if it does not match.
  static size_t contraction_end(std::string_view text, size_t at) {
    if (at + 1 >= text.size()) return 0;
    const char first = lower(text[at + 1]);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
    if (at + 2 >= text.size()) return 0;
    const char second = lower(text[at + 2]);
    if ((first == 'r' || first == 'v') && second == 'e') return at + 3;
    if (first == 'l' && second == 'l') return at + 3;
    return code_at(text, at + 1).code == kLongS ? at + 3 : 0;
  }

  size_t piece_end(std::string_view text, size_t at) const {
    const Char c = char_at(text, at);
    const size_t next = at + c.bytes;

    // [^\r\n\p{L}\p{N}]?\p{L}+ for a letter; contractions begin with an apostrophe.
    if (c.kind == CharClass::letter) return run_end(text, next, CharClass::letter);

    // \p{N} or \p{N}{1,3}
    if (c.kind == CharClass::number) {
      size_t end = next;
      for (size_t digits = 1; digits < max_digits_ && end < text.size(); ++digits) {
        const Char digit = char_at(text, end);
        if (digit.kind != CharClass::number) break;
        end += digit.bytes;
      }
      return end;
    }
    if (c.code == '\'') {
      if (const size_t end = contraction_end(text, at); end != 0) return end;
    }
    CharClass next_kind = CharClass::number;  // at the end of the text: none of those asked for below
    size_t after_next = next;
    if (next < text.size()) {
      const Char n = char_at(text, next);
      next_kind = n.kind;
      after_next = next + n.bytes;
    }

    // [^\r\n\p{L}\p{N}]?\p{L}+ for anything else
    if (next_kind == CharClass::letter && !is_newline(c.code)) return run_end(text, after_next, CharClass::letter);

    //  ?[^\s\p{L}\p{N}]+[\r\n]*
    if (c.kind == CharClass::other || (c.code == ' ' && next_kind == CharClass::other)) {
      size_t end = run_end(text, next, CharClass::other);
      while (end < text.size() && is_newline(static_cast<uint8_t>(text[end]))) ++end;
      return end;
    }
    return space_end(text, at);
  }

  // \s*[\r\n]+|\s+(?!\S)|\s+ with white space at `at`.
  size_t space_end(std::string_view text, size_t at) const {
    size_t end = at, last = at, after_newline = 0;
    while (end < text.size()) {
      const Char c = char_at(text, end);
      if (c.kind != CharClass::space) break;
      last = end;
      end += c.bytes;
      if (is_newline(c.code)) after_newline = end;
    }
    if (after_newline != 0) return after_newline;
    if (end == text.size() || last == at) return end;
    return last;  // the last one goes with what follows
  }

  size_t max_digits_;
  const UnicodeTable& table_;
  CharClass ascii_[128];
};

}  // namespace

std::shared_ptr<const Splitter> regex_splitter(const std::string& pattern, const std::string& where) {
  if (pattern == kQwenPattern) return std::make_shared<Scanner>(1);
  if (pattern == kLlama3Pattern) return std::make_shared<Scanner>(3);
  return pcre2_splitter(pattern, where);
}

void Pretokenizer::split(std::string_view text, const PieceSink& sink) const {
  if (!text.empty()) split_from(0, text, sink);
}

void Pretokenizer::split_from(size_t step, std::string_view text, const PieceSink& sink) const {
  if (step == steps_.size()) return sink(text);
  if (step + 1 == steps_.size()) return steps_[step]->split(text, sink);
  steps_[step]->split(text, [&](std::string_view piece) { split_from(step + 1, piece, sink); });
}

}  // namespace duan::text
