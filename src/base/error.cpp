#include "base/error.h"

#include "base/utf8.h"

namespace duan {

Error::Error(std::string what, std::string where, std::string hint)
    : std::runtime_error(where.empty() ? what : where + ": " + what),
      message_(std::move(what)),
      where_(std::move(where)),
      hint_(std::move(hint)) {}

Error Error::at(std::string where) const { return where_.empty() ? Error(message_, std::move(where), hint_) : *this; }

void check_failed(const char* condition, const std::string& message, const char* file, int line) {
  throw InternalError(fmt::format("{}:{}: {} does not hold: {}", file, line, condition, message));
}

std::string printable(std::string_view text, size_t max_bytes) {
  const bool cut = text.size() > max_bytes;
  const std::string valid = utf8::replace_invalid(text.substr(0, cut ? max_bytes : text.size()));
  std::string out;
  for (const char c : valid) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  if (cut) out += "...";
  return out;
}

}  // namespace duan
