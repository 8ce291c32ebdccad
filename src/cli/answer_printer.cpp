#include "cli/answer_printer.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "base/error.h"
#include "cli/terminal.h"

namespace duan::cli {
namespace {

constexpr std::string_view kDim = "\x1b[2m", kNormal = "\x1b[22m";

}  // namespace

AnswerPrinter::Style AnswerPrinter::style_for_stdout(bool reasoning_asked_for) {
  const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  return {.reasoning = terminal || reasoning_asked_for, .dimmed = styles_allowed(), .sanitize = terminal};
}

std::string AnswerPrinter::end_reasoning() const { return style_.dimmed ? "\n\n" : "\n</think>\n\n"; }

std::string AnswerPrinter::piece(Part part, std::string_view text) {
  if (text.empty() || (part == Part::reasoning && !style_.reasoning)) return "";
  std::string out;
  if (part == Part::reasoning) {
    if (state_ != State::reasoning && !style_.dimmed) out += "<think>\n";
    state_ = State::reasoning;
  } else {
    if (state_ == State::reasoning) out += end_reasoning();
    state_ = State::content;
  }
  const std::string safe = style_.sanitize ? without_controls(text) : std::string(text);
  // Dimmed piece by piece, so that the terminal is never left dim.
  return part == Part::reasoning && style_.dimmed ? fmt::format("{}{}{}{}", out, kDim, safe, kNormal) : out + safe;
}

std::string AnswerPrinter::finish() {
  const bool open_tag = state_ == State::reasoning && !style_.dimmed;
  state_ = State::nothing;
  return open_tag ? "\n</think>\n" : "\n";
}

void print_now(std::string_view text) {
  if (text.empty()) return;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw Error("cannot be written", "stdout");
  }
}

}  // namespace duan::cli
