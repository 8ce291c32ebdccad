// Running the built program as its users do: with pipes, or on a terminal.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

namespace duan::test {

// Whether this build runs under ThreadSanitizer, which makes the built program ten to thirty times slower.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true;
#elif defined(__has_feature)
inline constexpr bool kThreadSanitizer = __has_feature(thread_sanitizer);
#else
inline constexpr bool kThreadSanitizer = false;
#endif

struct ProgramResult {
  int exit_code = -1;  // -1: ended by `signal`
  int signal = 0;
  std::string out, err;
};

using Environment = std::map<std::string, std::string>;  // added to the test's own

// Runs duan with `arguments` and `input` on stdin (then closed). Kills it and throws std::runtime_error after
// `timeout_seconds`.
ProgramResult run_duan(const std::vector<std::string>& arguments, const std::string& input = "",
                       const Environment& environment = {}, int timeout_seconds = kThreadSanitizer ? 1200 : 300);

// Whether the system gives out pseudo terminals: a bare chroot without /dev/pts does not.
bool has_terminals();

// duan on a pseudo terminal of 24 rows and 80 columns.
class TerminalProgram {
 public:
  TerminalProgram(const std::vector<std::string>& arguments, const Environment& environment);
  ~TerminalProgram();  // kills it if it still runs
  TerminalProgram(const TerminalProgram&) = delete;
  TerminalProgram& operator=(const TerminalProgram&) = delete;

  void type(const std::string& bytes);
  // Everything the program wrote since the last call, up to and including `text`. Throws std::runtime_error if `text`
  // does not come in `timeout_seconds`.
  std::string wait_for(const std::string& text, int timeout_seconds = 120);
  void resize(unsigned short rows, unsigned short columns);
  void kill(int signal);
  int wait();     // the exit code, or -signal
  bool echoes();  // is the terminal in its normal mode?

 private:
  bool read_more(int timeout_ms);

  int terminal_ = -1;
  pid_t process_ = -1;
  std::string seen_;
};

}  // namespace duan::test

// For tests that need a terminal: skips visibly where there is none.
#define DUAN_NEEDS_TERMINAL() \
  if (!::duan::test::has_terminals()) GTEST_SKIP() << "no pseudo terminals here; is /dev/pts mounted?"
