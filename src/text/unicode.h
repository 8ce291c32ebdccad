// Character classes and NFC as the `tokenizers` library sees them (tables: tools/make_unicode_tables.py).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace duan::text {

enum class CharClass : uint8_t { other = 0, letter = 1, number = 2, space = 3 };  // \p{L}, \p{N}, \s

// Classes of all code points, built once from the ranges: equal pages of 256 are stored once.
class UnicodeTable {
 public:
  static const UnicodeTable& get();

  CharClass char_class(char32_t code) const { return static_cast<CharClass>(entry(code) & 3); }
  // NFC may change the code point, move it, or compose it with what stands before it.
  bool nfc_active(char32_t code) const { return (entry(code) & 4) != 0; }

 private:
  UnicodeTable();
  uint8_t entry(char32_t code) const { return pages_[size_t{page_of_[code >> 8]} * 256 + (code & 255)]; }

  std::array<uint8_t, 0x1100> page_of_;
  std::vector<uint8_t> pages_;
};

// The code point at text[at] and its length, for text known to be valid UTF-8.
struct CodeAt {
  char32_t code;
  uint32_t bytes;
};
inline CodeAt code_at(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[at + i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xE0) return {static_cast<char32_t>((first & 0x1F) << 6 | (byte(1) & 0x3F)), 2};
  if (first < 0xF0) {
    return {static_cast<char32_t>((first & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F)), 3};
  }
  return {
      static_cast<char32_t>((first & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F)),
      4};
}

// `text` itself if it is valid UTF-8, else `buffer` filled with the text, U+FFFD for each invalid maximal subpart.
std::string_view valid_utf8(std::string_view text, std::string& buffer);

// `text` (valid UTF-8) itself if it is in Normalization Form C, else `buffer` filled with its NFC.
std::string_view to_nfc(std::string_view text, std::string& buffer);

}  // namespace duan::text
