// Showing an answer while it is made.
#pragma once

#include <string>
#include <string_view>

namespace duan::cli {

enum class Part { reasoning, content };

class AnswerPrinter {
 public:
  struct Style {
    bool reasoning = false;  // shown at all
    bool dimmed = false;     // by the terminal; otherwise between <think> tags
    bool sanitize = false;   // control characters replaced
  };
  // On a terminal reasoning is shown (dimmed where styles are allowed); elsewhere only if asked for.
  static Style style_for_stdout(bool reasoning_asked_for);

  explicit AnswerPrinter(Style style) : style_(style) {}

  // What to write for a piece; finish() gives the end of the answer, always with a newline.
  std::string piece(Part part, std::string_view text);
  std::string finish();

 private:
  enum class State { nothing, reasoning, content };
  std::string end_reasoning() const;

  Style style_;
  State state_ = State::nothing;
};

void print_now(std::string_view text);  // on stdout, flushed

}  // namespace duan::cli
