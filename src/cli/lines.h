// What commands do with their input: whole, or line by line as JSON.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/json.h"

namespace duan::cli {

inline constexpr size_t kMaxInputBytes = size_t{64} << 20;

// All of stdin. Throws Error beyond kMaxInputBytes.
std::string read_stdin();

// Is something to be read from stdin: a pipe or a file, not a terminal or /dev/null?
bool stdin_is_given();

// A line of stdin without its newline; false at the end. Throws Error beyond kMaxInputBytes.
bool read_line(std::string& line);

// "file", or stdin for "-" or nothing.
std::string read_input(const std::string& file);

// One JSON object a line in, one out, in order. A line that is wrong gives {"error": ...} and the others go on; at the
// end an Error counts them.
void for_each_json_line(const std::function<Json(const Json& line)>& answer);

// Throws Error if it is not a list of integers.
std::vector<int64_t> ids_of(const Json& list, const std::string& where);

// Throws Error if it is not standard base64 with padding.
std::string decode_base64(std::string_view text);

}  // namespace duan::cli
