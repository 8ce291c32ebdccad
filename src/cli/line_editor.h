// Reading lines that a user edits on a terminal.
#pragma once

#include <optional>
#include <string>

#include "cli/edit_buffer.h"
#include "cli/history.h"

namespace duan::cli {

class LineEditor {
 public:
  // `input` and `output` are file descriptors of one terminal.
  LineEditor(int input, int output, History& history) : input_(input), output_(output), history_(history) {}

  enum class Result { line, interrupt, end };
  struct Line {
    Result result;
    std::string text;  // what was typed, also with `interrupt`
  };
  // Lines are not put into the history: the caller knows which are worth it. The terminal is in its normal mode when
  // this returns.
  Line read(const std::string& prompt);

 private:
  void paint(const std::string& prompt);
  void leave_picture();  // puts the cursor below what is painted
  void recall(int step);

  int input_, output_;
  History& history_;
  EditBuffer buffer_;
  size_t painted_cursor_row_ = 0, painted_rows_ = 0;
  size_t recalled_ = 0;  // position in the history; its size: the line being typed
  std::string typed_;    // the line being typed, while an older one is shown
  std::string unread_;   // bytes behind the end of the last line: typed ahead
};

}  // namespace duan::cli
