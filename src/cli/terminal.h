// The state of the user's terminal, and the signals that concern it.
#pragma once

#include <atomic>
#include <cstddef>
#include <string>
#include <string_view>

namespace duan::cli {

// Set by Ctrl-C while an Interruptible lives; the one it interrupts takes note and clears it.
std::atomic<bool>& interrupted();

// While it lives, SIGINT sets interrupted() instead of ending the program, and system calls it breaks are not resumed.
class Interruptible {
 public:
  Interruptible();
  ~Interruptible();
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;
};

// Ends the program as SIGINT would have, so that a calling shell knows.
void die_of_interrupt();

// Keys reach the program one by one and unechoed, pastes are marked. The terminal is as before when this object ends,
// and also when the program exits or a signal ends it.
class RawMode {
 public:
  RawMode(int input, int output);
  ~RawMode();
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;
  void leave();
  void enter();

 private:
  bool active_ = false;
};

struct WindowSize {
  size_t rows = 24, columns = 80;
};
WindowSize window_size(int terminal);

// Is the file descriptor a terminal that understands escape sequences (TERM is not "dumb")?
bool is_terminal(int file);
// May text on stdout be dimmed: a terminal, and NO_COLOR is not set?
bool styles_allowed();

// Control characters other than newline and tab as U+FFFD: a model's answer must not steer the terminal.
std::string without_controls(std::string_view text);

void write_all(int file, std::string_view bytes);  // gives up silently: a terminal that is gone has no reader

}  // namespace duan::cli
