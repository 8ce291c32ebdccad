// duan: the command line.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "base/error.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/suggest.h"

namespace {

constexpr int kDone = 0, kError = 1, kUsage = 2;

// Weights are mapped: a file cut short while in use shows as SIGBUS, at any instruction. Only async-signal-safe calls.
extern "C" void on_bus_error(int) {
  constexpr char kMessage[] = "error: a mapped model file was cut short or cannot be read any more\n";
  [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
  ::_exit(kError);
}

// "--tmep" -> "--temp": what the arguments nobody expected may have meant, in the commands that were named.
std::string suggestion(const CLI::App& app) {
  std::vector<std::string> known;
  const CLI::App* command = &app;
  while (command != nullptr) {
    known.clear();
    for (const CLI::App* sub : command->get_subcommands({})) known.push_back(sub->get_name());
    for (const CLI::Option* option : command->get_options()) {
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    }
    const std::vector<CLI::App*> named = command->get_subcommands();
    command = named.empty() ? nullptr : named.front();
  }
  for (const std::string& argument : app.remaining(true)) {
    const std::string name = argument.substr(0, argument.find('='));
    if (const std::string best = duan::cli::nearest(name, known); !best.empty()) return best;
  }
  return "";
}

int run(int argc, char** argv) {
  CLI::App app("duan (端): Qwen3 and Qwen3-VL from a Hugging Face checkpoint to a fast local deployment", "duan");
  app.set_version_flag("--version", "duan " DUAN_VERSION);
  app.require_subcommand(1);
  app.set_help_all_flag("--help-all", "Help of every command");
  duan::cli::add_run(app);
  duan::cli::add_chat(app);
  duan::cli::add_eval(app);
  duan::cli::add_compare(app);
  duan::cli::add_inspect(app);
  duan::cli::add_quantize(app);
  duan::cli::add_convert(app);
  duan::cli::add_verify(app);
  duan::cli::add_export(app);
  duan::cli::add_bench(app);
  duan::cli::add_tokenize(app);
  duan::cli::add_template(app);
  try {
    app.parse(argc, argv);
    if (std::fflush(stdout) != 0) throw duan::Error(std::strerror(errno), "stdout");
    return kDone;
  } catch (const CLI::ParseError& e) {
    const int code = app.exit(e);
    if (const std::string best = code == 0 ? "" : suggestion(app); !best.empty()) {
      fmt::print(stderr, "Did you mean {}?\n", best);
    }
    return code == 0 ? kDone : kUsage;
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_DFL);  // output nobody reads ends the program quietly, whatever the parent ignored
  std::signal(SIGBUS, on_bus_error);
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond the file size limit fails with EFBIG, like one onto a full disk
  duan::set_warning_sink([](const std::string& line) { fmt::print(stderr, "warning: {}\n", line); });
  try {
    return run(argc, argv);
  } catch (const duan::Error& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    if (!e.hint().empty()) fmt::print(stderr, "hint:  {}\n", e.hint());
    return kError;
  } catch (const duan::cli::Failed&) {
    return kError;
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "error: out of memory\n");
    return kError;
  } catch (const std::exception& e) {
    fmt::print(stderr, "internal error: {}\nhint:  this is a bug of duan; please report it with the command line\n",
               e.what());
    return kError;
  }
}
