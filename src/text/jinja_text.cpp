#include "text/jinja_text.h"

#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "base/utf8.h"
#include "text/jinja_case.h"

namespace duan::text::jinja {
namespace {

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

bool is_cased(char32_t code) {
  const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
  return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL || category == UTF8PROC_CATEGORY_LT;
}

// Marks and such, which do not end a word for the rule of the final sigma.
bool is_case_ignorable(char32_t code) {
  if (code == '\'' || code == '.' || code == ':' || code == 0xB7 || code == 0x2019) return true;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return false;
  }
}

const SpecialCase* special_case(char32_t code) {
  const auto found = std::lower_bound(std::begin(kSpecialCases), std::end(kSpecialCases), code,
                                      [](const SpecialCase& entry, char32_t c) { return entry.code < c; });
  return found != std::end(kSpecialCases) && found->code == code ? found : nullptr;
}

void append_special(std::string& out, const char32_t (&codes)[3]) {
  for (const char32_t code : codes) {
    if (code != 0) utf8::append(out, code);
  }
}

void append_upper(std::string& out, char32_t code) {
  if (const SpecialCase* special = code < 0x80 ? nullptr : special_case(code))
    return append_special(out, special->upper);
  utf8::append(out, static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(code))));
}

void append_title(std::string& out, char32_t code) {
  if (const SpecialCase* special = code < 0x80 ? nullptr : special_case(code))
    return append_special(out, special->title);
  utf8::append(out, static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(code))));
}

bool is_final_sigma(std::u32string_view codes, size_t at) {
  size_t before = at;
  while (before > 0 && is_case_ignorable(codes[before - 1])) --before;
  if (before == 0 || !is_cased(codes[before - 1])) return false;
  size_t after = at + 1;
  while (after < codes.size() && is_case_ignorable(codes[after])) ++after;
  return after == codes.size() || !is_cased(codes[after]);
}

void append_lower(std::string& out, std::u32string_view codes, size_t at) {
  const char32_t code = codes[at];
  if (code == 0x3A3) {
    utf8::append(out, is_final_sigma(codes, at) ? 0x3C2 : 0x3C3);
  } else if (code == 0x130) {  // capital I with dot above: i and a combining dot
    utf8::append(out, 'i');
    utf8::append(out, 0x307);
  } else {
    utf8::append(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
  }
}

// Whether all cased characters are in `wanted` case, and there is one.
bool all_cased(std::string_view text, utf8proc_category_t wanted) {
  bool any = false;
  for (const char32_t code : decode_all(text)) {
    if (!is_cased(code)) continue;
    if (utf8proc_category(static_cast<utf8proc_int32_t>(code)) != wanted) return false;
    any = true;
  }
  return any;
}

size_t space_bytes(std::string_view text) {  // of the white space character at the start, 0 if there is none
  const utf8::Decoded step = utf8::decode(text);
  return is_space(step.code) ? step.bytes : 0;
}

size_t last_start(std::string_view text) {  // byte where the last code point starts
  size_t at = text.size() - 1;
  while (at > 0 && is_continuation(text[at])) --at;
  return at;
}

std::string_view view(std::string_view text, size_t from, size_t to) { return text.substr(from, to - from); }

// The digits without the underscores Python allows between them; nothing if an underscore stands elsewhere.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
      continue;
    }
    const auto alnum = [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    };
    if (i == 0 || i + 1 == text.size() || !alnum(text[i - 1]) || !alnum(text[i + 1])) return std::nullopt;
  }
  return out;
}

}  // namespace

size_t code_points(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation(c); }));
}

size_t byte_of(std::string_view text, size_t index) {
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if (is_continuation(text[at])) continue;
    if (index == 0) return at;
    --index;
  }
  return at;
}

std::string_view code_point_slice(std::string_view text, size_t from, size_t to) {
  if (from >= to) return {};
  const std::string_view rest = text.substr(byte_of(text, from));
  return rest.substr(0, byte_of(rest, to - from));
}

std::u32string decode_all(std::string_view text) {
  std::u32string out;
  out.reserve(code_points(text));
  while (!text.empty()) {
    const utf8::Decoded step = utf8::decode(text);
    out += step.code;
    text.remove_prefix(step.bytes);
  }
  return out;
}

std::string encode_all(std::u32string_view codes) {
  std::string out;
  for (const char32_t code : codes) utf8::append(out, code);
  return out;
}

bool is_space(char32_t code) {
  if (code < 0x80) return code == ' ' || (code >= 9 && code <= 13) || (code >= 0x1c && code <= 0x1f);
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 ||
         code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

std::string_view strip(std::string_view text, std::optional<std::string_view> characters, Side side) {
  const std::u32string set = characters ? decode_all(*characters) : std::u32string();
  const auto drop = [&](char32_t code) { return characters ? set.find(code) != set.npos : is_space(code); };
  while (side != Side::Right && !text.empty()) {
    const utf8::Decoded step = utf8::decode(text);
    if (!drop(step.code)) break;
    text.remove_prefix(step.bytes);
  }
  while (side != Side::Left && !text.empty()) {
    const size_t last = last_start(text);
    if (!drop(utf8::decode(text.substr(last)).code)) break;
    text = text.substr(0, last);
  }
  return text;
}

std::vector<std::string_view> split(std::string_view text, std::optional<std::string_view> separator,
                                    int64_t max_splits) {
  std::vector<std::string_view> parts;
  const auto full = [&] { return max_splits >= 0 && static_cast<int64_t>(parts.size()) >= max_splits; };
  if (!separator) {
    for (text = strip(text, std::nullopt, Side::Left); !text.empty(); text = strip(text, std::nullopt, Side::Left)) {
      if (full()) {
        parts.push_back(text);
        break;
      }
      size_t end = 0;
      while (end < text.size() && space_bytes(text.substr(end)) == 0) end += utf8::decode(text.substr(end)).bytes;
      parts.push_back(text.substr(0, end));
      text.remove_prefix(end);
    }
    return parts;
  }
  for (size_t at = text.find(*separator); !full() && at != text.npos; at = text.find(*separator)) {
    parts.push_back(text.substr(0, at));
    text.remove_prefix(at + separator->size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<std::string_view> rsplit(std::string_view text, std::optional<std::string_view> separator,
                                     int64_t max_splits) {
  std::vector<std::string_view> parts;
  const auto full = [&] { return max_splits >= 0 && static_cast<int64_t>(parts.size()) >= max_splits; };
  if (!separator) {
    for (text = strip(text, std::nullopt, Side::Right); !text.empty(); text = strip(text, std::nullopt, Side::Right)) {
      if (full()) {
        parts.push_back(text);
        break;
      }
      size_t start = text.size();
      while (start > 0) {
        const size_t last = last_start(text.substr(0, start));
        if (space_bytes(text.substr(last)) != 0) break;
        start = last;
      }
      parts.push_back(text.substr(start));
      text = text.substr(0, start);
    }
  } else {
    for (size_t at = text.rfind(*separator); !full() && at != text.npos; at = text.rfind(*separator)) {
      parts.push_back(text.substr(at + separator->size()));
      text = text.substr(0, at);
    }
    parts.push_back(text);
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  size_t start = 0;
  for (size_t at = 0; at < text.size();) {
    const utf8::Decoded step = utf8::decode(text.substr(at));
    const char32_t c = step.code;
    const bool ends = (c >= 10 && c <= 13) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
    size_t next = at + step.bytes;
    if (c == '\r' && next < text.size() && text[next] == '\n') ++next;
    if (ends) {
      lines.push_back(view(text, start, keep_ends ? next : at));
      start = next;
    }
    at = next;
  }
  if (start < text.size()) lines.push_back(text.substr(start));
  return lines;
}

size_t count(std::string_view text, std::string_view part) {
  if (part.empty()) return code_points(text) + 1;
  size_t found = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) ++found;
  return found;
}

std::string replace(std::string_view text, std::string_view from, std::string_view to, int64_t max_count) {
  std::string out;
  const auto full = [&] { return max_count == 0; };
  if (from.empty()) {
    while (!full()) {
      out += to;
      --max_count;
      if (text.empty()) return out;
      const size_t bytes = utf8::decode(text).bytes;
      out += text.substr(0, bytes);
      text.remove_prefix(bytes);
    }
    out += text;
    return out;
  }
  for (size_t at = text.find(from); !full() && at != text.npos; at = text.find(from)) {
    out += text.substr(0, at);
    out += to;
    text.remove_prefix(at + from.size());
    --max_count;
  }
  out += text;
  return out;
}

std::string upper(std::string_view text) {
  std::string out;
  for (const char32_t code : decode_all(text)) append_upper(out, code);
  return out;
}

std::string lower(std::string_view text) {
  const std::u32string codes = decode_all(text);
  std::string out;
  for (size_t i = 0; i < codes.size(); ++i) append_lower(out, codes, i);
  return out;
}

std::string capitalize(std::string_view text) {
  const std::u32string codes = decode_all(text);
  std::string out;
  for (size_t i = 0; i < codes.size(); ++i) i == 0 ? append_title(out, codes[i]) : append_lower(out, codes, i);
  return out;
}

std::string title(std::string_view text) {
  const std::u32string codes = decode_all(text);
  std::string out;
  bool inside_word = false;
  for (size_t i = 0; i < codes.size(); ++i) {
    inside_word ? append_lower(out, codes, i) : append_title(out, codes[i]);
    inside_word = is_cased(codes[i]);
  }
  return out;
}

std::string title_filter(std::string_view text) {
  const std::u32string codes = decode_all(text);
  const auto breaks = [](char32_t c) {
    return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || is_space(c);
  };
  std::string out;
  for (size_t start = 0; start < codes.size();) {
    size_t end = start + 1;
    while (end < codes.size() && breaks(codes[end]) == breaks(codes[start])) ++end;
    const std::u32string_view word = std::u32string_view(codes).substr(start, end - start);
    append_upper(out, word[0]);
    for (size_t i = 1; i < word.size(); ++i) append_lower(out, word.substr(1), i - 1);
    start = end;
  }
  return out;
}

bool is_upper(std::string_view text) { return all_cased(text, UTF8PROC_CATEGORY_LU); }
bool is_lower(std::string_view text) { return all_cased(text, UTF8PROC_CATEGORY_LL); }

std::optional<int64_t> to_integer(std::string_view text, int base) {
  text = strip(text, std::nullopt, Side::Both);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text.size() > 1 && text[0] == '0') {
    const char mark = static_cast<char>(text[1] | 0x20);
    const int marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
    if (marked != 0 && (base == marked || base == 0)) {
      text.remove_prefix(2);
      if (text.starts_with('_')) text.remove_prefix(1);
      base = marked;
    }
  }
  if (base == 0) base = 10;
  const std::optional<std::string> digits = without_underscores(text);
  if (!digits || digits->empty() || (*digits)[0] == '-') return std::nullopt;
  uint64_t magnitude = 0;
  const char* end = digits->data() + digits->size();
  const auto result = std::from_chars(digits->data(), end, magnitude, base);
  if (result.ptr != end) return std::nullopt;
  const uint64_t limit = static_cast<uint64_t>(INT64_MAX) + (negative ? 1 : 0);
  if (result.ec == std::errc::result_out_of_range || magnitude > limit) {
    throw Error(fmt::format("the integer {} does not fit 64 bits", printable(text, 40)));
  }
  return static_cast<int64_t>(negative ? 0 - magnitude : magnitude);
}

std::optional<double> to_real(std::string_view text) {
  text = strip(text, std::nullopt, Side::Both);
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const std::optional<std::string> digits = without_underscores(text);
  if (!digits || digits->empty() || (*digits)[0] == '-' || digits->find('(') != digits->npos) return std::nullopt;
  double number = 0;
  const char* end = digits->data() + digits->size();
  const auto result = std::from_chars(digits->data(), end, number);
  if (result.ptr != end) return std::nullopt;
  if (result.ec == std::errc::result_out_of_range) {
    number = digits->find("e-") != digits->npos || digits->find("E-") != digits->npos
                 ? 0
                 : std::numeric_limits<double>::infinity();
  }
  return negative ? -number : number;
}

}  // namespace duan::text::jinja
