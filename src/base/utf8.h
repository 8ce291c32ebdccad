// UTF-8: decoding, repair, and assembling a stream so that no character is ever split.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace duan::utf8 {

inline constexpr char32_t kReplacement = 0xFFFD;

// One step of decoding: the code point at text[0] and how many bytes it took (>= 1). Invalid input gives
// kReplacement for each maximal subpart (Unicode 3.9, as Python's errors="replace" does), `valid` false.
struct Decoded {
  char32_t code;
  uint8_t bytes;
  bool valid;
  bool incomplete;  // the text ends inside what may still become a valid character
};
Decoded decode(std::string_view text);  // text not empty

void append(std::string& out, char32_t code);

bool is_valid(std::string_view text);

// Invalid sequences become U+FFFD, one for each maximal subpart.
std::string replace_invalid(std::string_view text);

// Turns pieces of bytes into text; bytes of a character not yet complete wait for the next piece.
class Assembler {
 public:
  std::string push(std::string_view bytes);  // what is complete so far, invalid sequences replaced
  std::string finish();                      // what still waits, as U+FFFD

 private:
  std::string pending_;  // at most 3 bytes
};

// Columns a terminal uses for the code point: 0 (combining, control), 1, or 2 (wide East Asian, emoji).
int display_width(char32_t code);
int display_width(std::string_view text);

}  // namespace duan::utf8
