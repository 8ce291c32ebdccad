#include "cli/line_editor.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "cli/terminal.h"

namespace duan::cli {
namespace {

constexpr int kEscapeKeyMs = 50;  // a terminal sends the rest of a sequence at once

}  // namespace

LineEditor::Line LineEditor::read(const std::string& prompt) {
  buffer_ = EditBuffer();
  typed_.clear();
  recalled_ = history_.lines().size();
  painted_cursor_row_ = painted_rows_ = 0;

  RawMode raw(input_, output_);
  paint(prompt);
  const auto done = [&](Result result) {
    leave_picture();
    return Line{result, buffer_.text()};
  };
  while (true) {
    if (unread_.empty()) {
      pollfd waiting{input_, POLLIN, 0};
      const int ready = ::poll(&waiting, 1, buffer_.in_sequence() ? kEscapeKeyMs : -1);
      if (ready == 0) buffer_.end_sequence();
      std::array<char, 4096> bytes;
      const ssize_t count = ready > 0 ? ::read(input_, bytes.data(), bytes.size()) : 0;
      if (count < 0 && errno != EINTR) return done(Result::end);
      if (ready > 0 && count == 0) return done(Result::end);  // the terminal is gone
      if (count > 0) unread_.assign(bytes.data(), static_cast<size_t>(count));
    }
    size_t used = 0;
    while (used < unread_.size()) {
      const EditBuffer::Event event = buffer_.feed(unread_[used++]);
      if (event == EditBuffer::Event::none) continue;
      if (event == EditBuffer::Event::older || event == EditBuffer::Event::newer) {
        recall(event == EditBuffer::Event::older ? -1 : +1);
        continue;
      }
      if (event == EditBuffer::Event::redraw_all) {
        write_all(output_, "\x1b[H\x1b[2J");
        painted_cursor_row_ = 0;
        continue;
      }
      if (event == EditBuffer::Event::suspend) {
        leave_picture();
        raw.leave();
        ::raise(SIGTSTP);
        raw.enter();
        painted_cursor_row_ = 0;
        continue;
      }
      unread_.erase(0, used);
      paint(prompt);
      switch (event) {
        case EditBuffer::Event::accept:
          return done(Result::line);
        case EditBuffer::Event::interrupt:
          return done(Result::interrupt);
        default:
          return done(Result::end);
      }
    }
    unread_.clear();
    paint(prompt);  // also after EINTR: the window may have another size now
  }
}

void LineEditor::recall(int step) {
  const std::vector<std::string>& lines = history_.lines();
  if (step < 0 ? recalled_ == 0 : recalled_ >= lines.size()) return;
  if (recalled_ == lines.size()) typed_ = buffer_.text();
  recalled_ = step < 0 ? recalled_ - 1 : recalled_ + 1;
  buffer_.set_text(recalled_ == lines.size() ? typed_ : lines[recalled_]);
}

void LineEditor::paint(const std::string& prompt) {
  const WindowSize window = window_size(output_);
  const EditBuffer::Drawing drawing = buffer_.draw(prompt, window.columns);
  // A text higher than the window shows the part around the cursor.
  const size_t first = drawing.cursor_row < window.rows ? 0 : drawing.cursor_row - window.rows + 1;
  const size_t end = std::min(drawing.rows.size(), first + window.rows);

  std::string out;
  if (painted_cursor_row_ > 0) out += fmt::format("\x1b[{}A", painted_cursor_row_);
  out += "\r\x1b[J";
  for (size_t row = first; row < end; ++row) {
    if (row > first) out += "\r\n";
    out += drawing.rows[row];
  }
  if (end - 1 > drawing.cursor_row) out += fmt::format("\x1b[{}A", end - 1 - drawing.cursor_row);
  out += '\r';
  if (drawing.cursor_column > 0) out += fmt::format("\x1b[{}C", drawing.cursor_column);
  write_all(output_, out);
  painted_cursor_row_ = drawing.cursor_row - first;
  painted_rows_ = end - first;
}

void LineEditor::leave_picture() {
  std::string out;
  if (painted_rows_ > painted_cursor_row_ + 1) out = fmt::format("\x1b[{}B", painted_rows_ - 1 - painted_cursor_row_);
  write_all(output_, out + "\r\n");
}

}  // namespace duan::cli
