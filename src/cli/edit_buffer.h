// A line of text being edited, driven by the bytes a terminal sends; knows nothing of the terminal itself.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace duan::cli {

class EditBuffer {
 public:
  enum class Event {
    none,        // the text or the cursor may have changed
    accept,      // Enter
    interrupt,   // Ctrl-C
    end,         // Ctrl-D with nothing typed
    redraw_all,  // Ctrl-L
    suspend,     // Ctrl-Z
    older,
    newer  // up, down: the caller puts in a line of the history
  };

  // Characters, control keys, escape sequences; a bracketed paste is text whatever it contains.
  Event feed(char byte);
  // After a pause: an escape sequence that began and did not go on was the Escape key.
  void end_sequence() { sequence_.clear(); }
  bool in_sequence() const { return !pasting_ && !sequence_.empty(); }

  void set_text(std::string_view text);  // cursor at its end
  std::string text() const;
  size_t cursor() const { return cursor_; }  // in code points

  // The rows as the terminal shows them: `prompt`, then the text wrapped at `columns`; rows after a newline start below
  // the text's first column. No row is wider than `columns`; a wide character never lies across its end.
  struct Drawing {
    std::vector<std::string> rows;
    size_t cursor_row = 0, cursor_column = 0;
  };
  Drawing draw(std::string_view prompt, size_t columns) const;

 private:
  Event control(char byte);
  Event escape();
  Event pasted(char byte);
  void insert(char byte);
  void insert_code(char32_t code);
  size_t before(size_t at) const;  // the boundaries of characters as people see them: marks stay with their base
  size_t after(size_t at) const;
  size_t word_before(size_t at) const;
  size_t word_after(size_t at) const;
  size_t line_start(size_t at) const;
  size_t line_end(size_t at) const;
  void erase(size_t from, size_t to);

  std::u32string text_;
  size_t cursor_ = 0;
  std::string pending_;   // bytes of a character not yet complete
  std::string sequence_;  // an escape sequence not yet complete, from ESC on
  bool pasting_ = false;
  bool after_return_ = false;  // the last byte pasted was CR
};

}  // namespace duan::cli
