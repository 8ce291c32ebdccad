// Regular expressions in files and flags: PCRE2, limited so that no pattern runs away.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace duan {

// A pattern matched as Python's re.match does: anchored at the start of the text, not at its end.
class Regex {
 public:
  // `where` names the flag or file in errors. Throws Error: not a pattern (with the position), or longer than 4 KiB.
  Regex(std::string pattern, const std::string& where);

  // Throws Error if the match exceeds its limits (catastrophic backtracking).
  bool matches_start(std::string_view text) const;

  const std::string& pattern() const { return pattern_; }

 private:
  std::string pattern_, where_;
  std::shared_ptr<void> code_;
};

}  // namespace duan
