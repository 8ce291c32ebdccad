#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>

#include "base/error.h"
#include "base/utf8.h"
#include "text/unicode_tables.h"

namespace duan::text {
namespace {

// The first byte at or after `at` that is not ASCII, eight at a time.
size_t skip_ascii(std::string_view text, size_t at) {
  while (at + 8 <= text.size()) {
    uint64_t word;
    std::memcpy(&word, text.data() + at, 8);
    if ((word & 0x8080808080808080u) != 0) break;
    at += 8;
  }
  while (at < text.size() && static_cast<uint8_t>(text[at]) < 0x80) ++at;
  return at;
}

// Appends the NFC of `part`. utf8proc decomposes and composes; it would sort marks in quadratic time, so we do that.
void append_nfc(std::string_view part, std::string& out) {
  const auto combining_class = [](utf8proc_int32_t code) { return utf8proc_get_property(code)->combining_class; };
  std::vector<utf8proc_int32_t> codes;
  codes.reserve(part.size());
  for (size_t at = 0; at < part.size();) {
    const CodeAt c = code_at(part, at);
    at += c.bytes;
    utf8proc_int32_t decomposed[8];  // canonical decompositions have at most 4 code points
    int last_class = 0;
    const utf8proc_ssize_t count =
        utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c.code), decomposed, std::size(decomposed),
                                static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE), &last_class);
    DUAN_CHECK(count > 0 && count <= static_cast<utf8proc_ssize_t>(std::size(decomposed)),
               "U+{:04X} decomposes to {} code points", static_cast<uint32_t>(c.code), count);
    codes.insert(codes.end(), decomposed, decomposed + count);
  }
  for (auto run = codes.begin(); run != codes.end();) {
    if (combining_class(*run) == 0) {
      ++run;
      continue;
    }
    const auto end = std::find_if(run, codes.end(), [&](auto code) { return combining_class(code) == 0; });
    std::stable_sort(run, end, [&](auto a, auto b) { return combining_class(a) < combining_class(b); });
    run = end;
  }
  const utf8proc_ssize_t composed =
      utf8proc_normalize_utf32(codes.data(), static_cast<utf8proc_ssize_t>(codes.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  DUAN_CHECK(composed > 0, "utf8proc: {}", utf8proc_errmsg(composed));
  for (utf8proc_ssize_t i = 0; i < composed; ++i)
    utf8::append(out, static_cast<char32_t>(codes[static_cast<size_t>(i)]));
}

}  // namespace

UnicodeTable::UnicodeTable() {
  std::vector<uint8_t> entries(0x110000, 0);
  const auto mark = [&](const auto& ranges, uint8_t bits) {
    for (const CodeRange& range : ranges) {
      for (char32_t code = range.first; code <= range.last; ++code) entries[code] |= bits;
    }
  };
  mark(kLetters, static_cast<uint8_t>(CharClass::letter));
  mark(kNumbers, static_cast<uint8_t>(CharClass::number));
  mark(kSpaces, static_cast<uint8_t>(CharClass::space));
  mark(kNfcActive, 4);

  std::map<std::string_view, uint8_t> known;
  for (size_t page = 0; page < page_of_.size(); ++page) {
    const std::string_view content(reinterpret_cast<const char*>(&entries[page * 256]), 256);
    const auto [it, fresh] = known.try_emplace(content, static_cast<uint8_t>(known.size()));
    DUAN_CHECK(known.size() <= 256, "more than 256 distinct pages");
    if (fresh) pages_.insert(pages_.end(), content.begin(), content.end());
    page_of_[page] = it->second;
  }
}

const UnicodeTable& UnicodeTable::get() {
  static const UnicodeTable table;
  return table;
}

std::string_view valid_utf8(std::string_view text, std::string& buffer) {
  size_t at = skip_ascii(text, 0);
  while (at < text.size()) {
    const utf8::Decoded d = utf8::decode(text.substr(at));
    if (!d.valid) return buffer = utf8::replace_invalid(text);
    at += d.bytes;
    if (at < text.size() && static_cast<uint8_t>(text[at]) < 0x80) at = skip_ascii(text, at);
  }
  return text;
}

std::string_view to_nfc(std::string_view text, std::string& buffer) {
  // A code point that is not active begins a new stable part, so NFC of the text is the concatenation of the NFC of
  // its parts, and only parts with an active code point need work.
  const UnicodeTable& table = UnicodeTable::get();
  bool copied = false;
  size_t done = 0;        // buffer holds the result for text[0, done), once `copied`
  size_t part_begin = 0;  // the last code point that is not active
  size_t at = 0;
  while (at < text.size()) {
    if (static_cast<uint8_t>(text[at]) < 0x80) {  // ASCII is never active
      at = skip_ascii(text, at);
      part_begin = at - 1;
      continue;
    }
    const CodeAt c = code_at(text, at);
    if (!table.nfc_active(c.code)) {
      part_begin = at;
      at += c.bytes;
      continue;
    }
    size_t end = at + c.bytes;
    while (end < text.size()) {
      const CodeAt next = code_at(text, end);
      if (!table.nfc_active(next.code)) break;
      end += next.bytes;
    }
    if (!copied) {
      buffer.clear();
      buffer.reserve(text.size());
      copied = true;
    }
    // Marks newer than the library's Unicode are not active; utf8proc must not move them either.
    if (part_begin < at &&
        utf8proc_get_property(static_cast<utf8proc_int32_t>(code_at(text, part_begin).code))->combining_class != 0) {
      part_begin = at;
    }
    buffer.append(text.substr(done, part_begin - done));
    append_nfc(text.substr(part_begin, end - part_begin), buffer);
    done = part_begin = at = end;
  }
  if (!copied) return text;
  buffer.append(text.substr(done));
  return buffer;
}

}  // namespace duan::text
