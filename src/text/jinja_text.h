// Python's string operations on valid UTF-8, where positions and lengths are counted in code points.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace duan::text::jinja {

size_t code_points(std::string_view text);
// The byte at which code point `index` starts; the size of the text when there are fewer.
size_t byte_of(std::string_view text, size_t index);
// The code points [from, to).
std::string_view code_point_slice(std::string_view text, size_t from, size_t to);
std::u32string decode_all(std::string_view text);
std::string encode_all(std::u32string_view codes);

bool is_space(char32_t code);  // str.isspace

enum class Side { Both, Left, Right };
// Without `characters`: white space.
std::string_view strip(std::string_view text, std::optional<std::string_view> characters, Side side);

// str.split: without separator at runs of white space. max_splits < 0: no limit. separator not empty.
std::vector<std::string_view> split(std::string_view text, std::optional<std::string_view> separator,
                                    int64_t max_splits);
std::vector<std::string_view> rsplit(std::string_view text, std::optional<std::string_view> separator,
                                     int64_t max_splits);
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);

// How often `part` occurs without overlap; an empty part occurs between all code points and at both ends.
size_t count(std::string_view text, std::string_view part);
std::string replace(std::string_view text, std::string_view from, std::string_view to, int64_t max_count);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);    // str.capitalize
std::string title(std::string_view text);         // str.title
std::string title_filter(std::string_view text);  // Jinja's filter `title`
bool is_upper(std::string_view text);
bool is_lower(std::string_view text);

// int(text, base) and float(text) of Python; nothing if it is not a number. Throws Error beyond 64 bits.
std::optional<int64_t> to_integer(std::string_view text, int base);
std::optional<double> to_real(std::string_view text);

}  // namespace duan::text::jinja
