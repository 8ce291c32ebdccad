#include "cli/lines.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "base/error.h"

namespace duan::cli {

std::string read_stdin() {
  std::string text;
  char buffer[1 << 16];
  while (const size_t count = std::fread(buffer, 1, sizeof buffer, stdin)) {
    if (text.size() + count > kMaxInputBytes) {
      throw Error(fmt::format("more than {} MiB", kMaxInputBytes >> 20), "stdin");
    }
    text.append(buffer, count);
  }
  if (std::ferror(stdin) != 0) throw Error("cannot be read", "stdin");
  return text;
}

bool stdin_is_given() {
  struct stat status {};
  if (::fstat(STDIN_FILENO, &status) != 0) return false;
  return S_ISFIFO(status.st_mode) || S_ISREG(status.st_mode) || S_ISSOCK(status.st_mode);
}

bool read_line(std::string& line) {
  line.clear();
  int c = 0;
  while ((c = std::getc(stdin)) != EOF) {
    if (c == '\n') return true;
    if (line.size() == kMaxInputBytes)
      throw Error(fmt::format("a line of more than {} MiB", kMaxInputBytes >> 20), "stdin");
    line += static_cast<char>(c);
  }
  return !line.empty();
}

std::string read_input(const std::string& file) {
  return file.empty() || file == "-" ? read_stdin() : read_file(file, kMaxInputBytes);
}

void for_each_json_line(const std::function<Json(const Json& line)>& answer) {
  std::string line;
  size_t number = 0, wrong = 0;
  while (read_line(line)) {
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    Json out;
    try {
      const Json in = parse_json(line, fmt::format("line {}", number), {.max_bytes = kMaxInputBytes});
      if (!in.is_object()) throw Error("expected a JSON object", fmt::format("line {}", number));
      out = answer(in);
    } catch (const Error& e) {
      out = {{"error", e.what()}};
      ++wrong;
    }
    fmt::print("{}\n", to_text(out));
  }
  if (wrong > 0) throw Error(fmt::format("{} of {} lines gave an error", wrong, number), "stdin");
}

std::vector<int64_t> ids_of(const Json& list, const std::string& where) {
  if (!list.is_array()) throw Error("expected a list of token ids", where);
  std::vector<int64_t> ids;
  for (const Json& id : list) {
    if (!id.is_number_integer()) throw Error("a token id is " + printable(to_text(id), 40), where);
    ids.push_back(id.get<int64_t>());
  }
  return ids;
}

std::string decode_base64(std::string_view text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() % 4 != 0) throw Error(fmt::format("{} base64 digits, not a multiple of 4", text.size()), "bytes_b64");
  std::string out;
  for (size_t at = 0; at < text.size(); at += 4) {
    const size_t padding = at + 4 < text.size() ? 0 : text[at + 3] != '=' ? 0 : text[at + 2] != '=' ? 1 : 2;
    uint32_t group = 0;
    for (size_t i = 0; i < 4; ++i) {
      const size_t digit = i + padding < 4 ? kDigits.find(text[at + i]) : 0;
      if (digit == std::string_view::npos) throw Error("a character that is no base64 digit", "bytes_b64");
      group = group << 6 | static_cast<uint32_t>(digit);
    }
    for (size_t i = 0; i + padding < 3; ++i) out += static_cast<char>(group >> (16 - 8 * i) & 0xFF);
  }
  return out;
}

}  // namespace duan::cli
