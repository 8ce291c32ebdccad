// Errors: one type for what a user, a file or the network can cause, one for bugs.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace duan {

// Something outside the program is wrong. `what` says what was found and what was expected, `where` names the file,
// tensor or flag, `hint` says what to do (may be empty). what() is one line: "where: what".
class Error : public std::runtime_error {
 public:
  explicit Error(std::string what, std::string where = "", std::string hint = "");

  const std::string& message() const { return message_; }
  const std::string& where() const { return where_; }
  const std::string& hint() const { return hint_; }

  // The same error with `where` set, if it had none: for code that knows the file its callee does not.
  Error at(std::string where) const;

 private:
  std::string message_, where_, hint_;
};

// A broken invariant of ours. Never reachable by input.
class InternalError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

[[noreturn]] void check_failed(const char* condition, const std::string& message, const char* file, int line);

// The bytes of `text` fit for a one-line message: control characters and invalid UTF-8 escaped, cut to `max_bytes`.
std::string printable(std::string_view text, size_t max_bytes = 120);

}  // namespace duan

// DUAN_CHECK(condition, "format", args...) throws InternalError; active in release builds.
#define DUAN_CHECK(condition, ...)                                                                      \
  do {                                                                                                  \
    if (!(condition)) ::duan::check_failed(#condition, ::fmt::format(__VA_ARGS__), __FILE__, __LINE__); \
  } while (false)
