#include "cli/terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "base/utf8.h"

namespace duan::cli {
namespace {

constexpr std::string_view kPasteOn = "\x1b[?2004h", kPasteOff = "\x1b[?2004l";

std::atomic<bool> interrupt_flag{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");
struct sigaction before_interruptible;

// What a signal handler or exit needs to put the terminal back. Written before `raw` is set.
termios saved_mode;
int raw_input = -1, raw_output = -1;
volatile std::sig_atomic_t raw = 0;

constexpr std::array kDeadly = {SIGHUP, SIGQUIT, SIGTERM, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGINT};
std::array<struct sigaction, kDeadly.size()> before_raw;

// Async-signal-safe.
void restore_terminal() {
  if (raw == 0) return;
  raw = 0;
  write_all(raw_output, kPasteOff);
  ::tcsetattr(raw_input, TCSADRAIN, &saved_mode);
}

void restore_and_die(int signal) {
  const int error = errno;
  restore_terminal();
  std::signal(signal, SIG_DFL);
  ::raise(signal);
  errno = error;
}

}  // namespace

std::atomic<bool>& interrupted() { return interrupt_flag; }

Interruptible::Interruptible() {
  interrupt_flag = false;
  struct sigaction action {};
  action.sa_handler = [](int) { interrupt_flag.store(true, std::memory_order_relaxed); };
  ::sigaction(SIGINT, &action, &before_interruptible);
}

Interruptible::~Interruptible() { ::sigaction(SIGINT, &before_interruptible, nullptr); }

void die_of_interrupt() {
  std::signal(SIGINT, SIG_DFL);
  ::raise(SIGINT);
}

RawMode::RawMode(int input, int output) {
  raw_input = input;
  raw_output = output;
  static const bool at_exit = std::atexit(restore_terminal) == 0;
  (void)at_exit;
  enter();
}

RawMode::~RawMode() { leave(); }

void RawMode::enter() {
  if (active_ || ::tcgetattr(raw_input, &saved_mode) != 0) return;
  for (size_t i = 0; i < kDeadly.size(); ++i) {
    struct sigaction action {};
    action.sa_handler = restore_and_die;
    ::sigaction(kDeadly[i], &action, &before_raw[i]);
  }
  raw = 1;
  termios mode = saved_mode;
  mode.c_iflag &= ~static_cast<tcflag_t>(BRKINT | ICRNL | INPCK | ISTRIP | IXON);
  mode.c_cflag |= CS8;
  mode.c_lflag &= ~static_cast<tcflag_t>(ECHO | ICANON | IEXTEN | ISIG);
  mode.c_cc[VMIN] = 1;
  mode.c_cc[VTIME] = 0;
  ::tcsetattr(raw_input, TCSADRAIN, &mode);
  write_all(raw_output, kPasteOn);
  active_ = true;
}

void RawMode::leave() {
  if (!active_) return;
  restore_terminal();
  for (size_t i = 0; i < kDeadly.size(); ++i) ::sigaction(kDeadly[i], &before_raw[i], nullptr);
  active_ = false;
}

WindowSize window_size(int terminal) {
  winsize size{};
  if (::ioctl(terminal, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_row, size.ws_col};
}

bool is_terminal(int file) {
  const char* kind = std::getenv("TERM");
  return ::isatty(file) != 0 && kind != nullptr && std::string_view(kind) != "dumb";
}

bool styles_allowed() {
  const char* no_color = std::getenv("NO_COLOR");
  return is_terminal(STDOUT_FILENO) && (no_color == nullptr || *no_color == '\0');
}

std::string without_controls(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const utf8::Decoded decoded = utf8::decode(text);
    const char32_t code = decoded.code;
    const bool control = (code < 0x20 && code != '\n' && code != '\t') || (code >= 0x7F && code <= 0x9F);
    utf8::append(out, control ? utf8::kReplacement : code);
    text.remove_prefix(decoded.bytes);
  }
  return out;
}

void write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace duan::cli
