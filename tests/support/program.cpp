#include "support/program.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>

#include "support/paths.h"

namespace duan::test {
namespace {

using Clock = std::chrono::steady_clock;

// Between fork and exec only async-signal-safe calls are allowed: everything is made ready before.
struct Prepared {
  Prepared(const std::vector<std::string>& arguments, const Environment& added) : program(duan_binary().string()) {
    argument_texts = arguments;
    argv.push_back(program.data());
    for (std::string& argument : argument_texts) argv.push_back(argument.data());
    argv.push_back(nullptr);
    for (char** entry = environ; *entry != nullptr; ++entry) {
      const std::string text = *entry;
      if (!added.contains(text.substr(0, text.find('=')))) environment_texts.push_back(text);
    }
    for (const auto& [name, value] : added) environment_texts.push_back(name + "=" + value);
    for (std::string& entry : environment_texts) envp.push_back(entry.data());
    envp.push_back(nullptr);
  }
  [[noreturn]] void run() {
    ::execve(program.c_str(), argv.data(), envp.data());
    ::_exit(127);
  }

  std::string program;
  std::vector<std::string> argument_texts, environment_texts;
  std::vector<char*> argv, envp;
};

struct Pipe {
  Pipe() {
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
  }
  ~Pipe() { close(0), close(1); }
  void close(size_t end) {
    if (ends[end] >= 0) ::close(ends[end]);
    ends[end] = -1;
  }
  std::array<int, 2> ends{-1, -1};
};

}  // namespace

ProgramResult run_duan(const std::vector<std::string>& arguments, const std::string& input,
                       const Environment& environment, int timeout_seconds) {
  std::signal(SIGPIPE, SIG_IGN);  // a program that does not read its input is no fault of the test
  Prepared prepared(arguments, environment);
  Pipe in, out, err;
  const pid_t process = ::fork();
  if (process < 0) throw std::runtime_error("fork failed");
  if (process == 0) {
    ::dup2(in.ends[0], STDIN_FILENO);
    ::dup2(out.ends[1], STDOUT_FILENO);
    ::dup2(err.ends[1], STDERR_FILENO);
    prepared.run();
  }
  in.close(0), out.close(1), err.close(1);
  ::fcntl(in.ends[1], F_SETFL, O_NONBLOCK);

  ProgramResult result;
  size_t written = 0;
  const auto deadline = Clock::now() + std::chrono::seconds(timeout_seconds);
  while (out.ends[0] >= 0 || err.ends[0] >= 0) {
    if (written == input.size()) in.close(1);
    std::array<pollfd, 3> files{{{in.ends[1], POLLOUT, 0}, {out.ends[0], POLLIN, 0}, {err.ends[0], POLLIN, 0}}};
    ::poll(files.data(), files.size(), 100);
    if (Clock::now() > deadline) {
      ::kill(process, SIGKILL);
      ::waitpid(process, nullptr, 0);
      throw std::runtime_error("duan ran too long; it wrote: " + result.out + result.err);
    }
    if (files[0].revents != 0) {
      const ssize_t count = ::write(in.ends[1], input.data() + written, input.size() - written);
      if (count > 0) written += static_cast<size_t>(count);
      if (count < 0 && errno != EAGAIN) in.close(1);
    }
    const auto drain = [](const pollfd& file, Pipe& pipe, std::string& text) {
      if (file.revents == 0) return;
      std::array<char, 65536> bytes;
      const ssize_t count = ::read(file.fd, bytes.data(), bytes.size());
      if (count > 0) text.append(bytes.data(), static_cast<size_t>(count));
      if (count <= 0) pipe.close(0);
    };
    drain(files[1], out, result.out);
    drain(files[2], err, result.err);
  }
  int status = 0;
  ::waitpid(process, &status, 0);
  if (WIFEXITED(status)) result.exit_code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) result.signal = WTERMSIG(status);
  return result;
}

bool has_terminals() {
  int terminal = -1, program_side = -1;
  if (::openpty(&terminal, &program_side, nullptr, nullptr, nullptr) != 0) return false;
  ::close(terminal);
  ::close(program_side);
  return true;
}

TerminalProgram::TerminalProgram(const std::vector<std::string>& arguments, const Environment& environment) {
  Prepared prepared(arguments, environment);
  winsize size{24, 80, 0, 0};
  process_ = ::forkpty(&terminal_, nullptr, nullptr, &size);
  if (process_ < 0) throw std::runtime_error("forkpty failed");
  if (process_ == 0) prepared.run();
}

TerminalProgram::~TerminalProgram() {
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  ::close(terminal_);
}

void TerminalProgram::type(const std::string& bytes) {
  if (::write(terminal_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
    throw std::runtime_error("typing failed");
  }
}

bool TerminalProgram::read_more(int timeout_ms) {
  pollfd file{terminal_, POLLIN, 0};
  if (::poll(&file, 1, timeout_ms) <= 0) return true;
  std::array<char, 4096> bytes;
  const ssize_t count = ::read(terminal_, bytes.data(), bytes.size());
  if (count <= 0) return false;  // EIO: the program is gone
  seen_.append(bytes.data(), static_cast<size_t>(count));
  return true;
}

std::string TerminalProgram::wait_for(const std::string& text, int timeout_seconds) {
  const auto deadline = Clock::now() + std::chrono::seconds(timeout_seconds);
  while (true) {
    if (const size_t at = seen_.find(text); at != std::string::npos) {
      std::string before = seen_.substr(0, at + text.size());
      seen_.erase(0, at + text.size());
      return before;
    }
    if (!read_more(100) || Clock::now() > deadline) {
      throw std::runtime_error("\"" + text + "\" did not come; there is: " + seen_);
    }
  }
}

void TerminalProgram::resize(unsigned short rows, unsigned short columns) {
  winsize size{rows, columns, 0, 0};
  ::ioctl(terminal_, TIOCSWINSZ, &size);
}

void TerminalProgram::kill(int signal) { ::kill(process_, signal); }

int TerminalProgram::wait() {
  while (read_more(100)) {
    int status = 0;
    if (::waitpid(process_, &status, WNOHANG) == process_) {
      process_ = -1;
      return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
  }
  int status = 0;
  ::waitpid(process_, &status, 0);
  process_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

bool TerminalProgram::echoes() {
  termios mode{};
  return ::tcgetattr(terminal_, &mode) == 0 && (mode.c_lflag & ECHO) != 0 && (mode.c_lflag & ICANON) != 0;
}

}  // namespace duan::test
