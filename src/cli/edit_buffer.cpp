#include "cli/edit_buffer.h"

#include <algorithm>

#include "base/utf8.h"

namespace duan::cli {
namespace {

constexpr char kEscape = '\x1b';
constexpr char32_t kJoiner = 0x200D;  // glues the parts of one emoji
constexpr size_t kTabColumns = 4;
constexpr std::string_view kPasteEnd = "\x1b[201~";
constexpr size_t kMaxSequence = 32;  // longer ones are none we know

constexpr char ctrl(char letter) { return static_cast<char>(letter & 0x1F); }

bool is_mark(char32_t code) { return code >= 0x300 && utf8::display_width(code) == 0; }
bool is_space(char32_t code) { return code == ' ' || code == '\n' || code == '\t' || code == 0x3000; }

size_t columns_of(char32_t code) {
  return code == '\t' ? kTabColumns : static_cast<size_t>(std::max(0, utf8::display_width(code)));
}

}  // namespace

EditBuffer::Event EditBuffer::feed(char byte) {
  if (pasting_) return pasted(byte);
  if (!sequence_.empty() || byte == kEscape) {
    if (byte == kEscape) sequence_.clear();
    sequence_ += byte;
    return escape();
  }
  const auto value = static_cast<unsigned char>(byte);
  if (value < 0x20 || value == 0x7F) return control(byte);
  insert(byte);
  return Event::none;
}

EditBuffer::Event EditBuffer::control(char byte) {
  pending_.clear();
  switch (byte) {
    case '\r':
    case '\n':
      return Event::accept;
    case ctrl('C'):
      return Event::interrupt;
    case ctrl('D'):
      if (text_.empty()) return Event::end;
      erase(cursor_, after(cursor_));
      break;
    case ctrl('Z'):
      return Event::suspend;
    case ctrl('L'):
      return Event::redraw_all;
    case ctrl('P'):
      return Event::older;
    case ctrl('N'):
      return Event::newer;
    case ctrl('A'):
      cursor_ = line_start(cursor_);
      break;
    case ctrl('E'):
      cursor_ = line_end(cursor_);
      break;
    case ctrl('B'):
      cursor_ = before(cursor_);
      break;
    case ctrl('F'):
      cursor_ = after(cursor_);
      break;
    case ctrl('K'):
      erase(cursor_, line_end(cursor_));
      break;
    case ctrl('U'):
      erase(line_start(cursor_), cursor_);
      break;
    case ctrl('W'):
      erase(word_before(cursor_), cursor_);
      break;
    case ctrl('H'):
    case '\x7f':
      erase(before(cursor_), cursor_);
      break;
    default:
      break;
  }
  return Event::none;
}

EditBuffer::Event EditBuffer::escape() {
  if (sequence_.size() == 1) return Event::none;
  const char kind = sequence_[1];
  const char last = sequence_.back();
  if (kind == '[' || kind == 'O') {
    if (sequence_.size() == 2) return Event::none;
    const bool complete = last >= '@' && last <= '~';
    if (!complete) {
      if (sequence_.size() > kMaxSequence) sequence_.clear();
      return Event::none;
    }
  }
  const std::string keys = std::move(sequence_);
  sequence_.clear();
  const std::string_view key = std::string_view(keys).substr(1);
  if (key == "[200~") {
    pasting_ = true;
  } else if (key == "[A" || key == "OA") {
    return Event::older;
  } else if (key == "[B" || key == "OB") {
    return Event::newer;
  } else if (key == "[C" || key == "OC") {
    cursor_ = after(cursor_);
  } else if (key == "[D" || key == "OD") {
    cursor_ = before(cursor_);
  } else if (key == "[1;5C" || key == "f") {
    cursor_ = word_after(cursor_);
  } else if (key == "[1;5D" || key == "b") {
    cursor_ = word_before(cursor_);
  } else if (key == "[H" || key == "OH" || key == "[1~" || key == "[7~") {
    cursor_ = line_start(cursor_);
  } else if (key == "[F" || key == "OF" || key == "[4~" || key == "[8~") {
    cursor_ = line_end(cursor_);
  } else if (key == "[3~") {
    erase(cursor_, after(cursor_));
  } else if (key == "\r") {  // Alt-Enter
    insert_code('\n');
  }
  return Event::none;
}

EditBuffer::Event EditBuffer::pasted(char byte) {
  if (!sequence_.empty() || byte == kEscape) {
    if (byte != kEscape) sequence_ += byte;
    if (sequence_ == kPasteEnd) {
      pasting_ = false;
      sequence_.clear();
      pending_.clear();
    } else if (byte == kEscape || !kPasteEnd.starts_with(sequence_)) {
      // Another sequence would act on the terminal when shown: it stays as text without its ESC.
      const std::string other = std::move(sequence_);
      sequence_.clear();
      for (size_t i = 1; i < other.size(); ++i) pasted(other[i]);
      if (byte == kEscape) sequence_ = kEscape;
    }
    return Event::none;
  }
  if (byte == '\r') {
    insert_code('\n');
  } else if (byte == '\n' || byte == '\t' || static_cast<unsigned char>(byte) >= 0x20) {
    // Terminals send CR for a pasted newline; CR LF is one.
    const bool second_half = byte == '\n' && cursor_ > 0 && text_[cursor_ - 1] == '\n' && after_return_;
    if (!second_half) insert(byte);
  }
  after_return_ = byte == '\r';
  return Event::none;
}

void EditBuffer::insert(char byte) {
  pending_ += byte;
  while (!pending_.empty()) {
    const utf8::Decoded decoded = utf8::decode(pending_);
    if (decoded.incomplete) return;
    // C1 controls are invisible, and some terminals obey them.
    if (decoded.valid && (decoded.code < 0x7F || decoded.code > 0x9F)) insert_code(decoded.code);
    pending_.erase(0, decoded.bytes);
  }
}

void EditBuffer::insert_code(char32_t code) {
  text_.insert(cursor_, 1, code);
  ++cursor_;
}

size_t EditBuffer::before(size_t at) const {
  if (at == 0) return 0;
  --at;
  while (at > 0 && (is_mark(text_[at]) || text_[at - 1] == kJoiner)) --at;
  return at;
}

size_t EditBuffer::after(size_t at) const {
  if (at < text_.size()) ++at;
  while (at < text_.size() && (is_mark(text_[at]) || text_[at - 1] == kJoiner)) ++at;
  return at;
}

size_t EditBuffer::word_before(size_t at) const {
  while (at > 0 && is_space(text_[at - 1])) --at;
  while (at > 0 && !is_space(text_[at - 1])) --at;
  return at;
}

size_t EditBuffer::word_after(size_t at) const {
  while (at < text_.size() && is_space(text_[at])) ++at;
  while (at < text_.size() && !is_space(text_[at])) ++at;
  return at;
}

size_t EditBuffer::line_start(size_t at) const {
  while (at > 0 && text_[at - 1] != '\n') --at;
  return at;
}

size_t EditBuffer::line_end(size_t at) const {
  while (at < text_.size() && text_[at] != '\n') ++at;
  return at;
}

void EditBuffer::erase(size_t from, size_t to) {
  text_.erase(from, to - from);
  cursor_ = from;
}

void EditBuffer::set_text(std::string_view text) {
  text_.clear();
  pending_.clear();
  while (!text.empty()) {
    const utf8::Decoded decoded = utf8::decode(text);
    text_ += decoded.code;
    text.remove_prefix(decoded.bytes);
  }
  cursor_ = text_.size();
}

std::string EditBuffer::text() const {
  std::string out;
  for (const char32_t code : text_) utf8::append(out, code);
  return out;
}

EditBuffer::Drawing EditBuffer::draw(std::string_view prompt, size_t columns) const {
  columns = std::max(columns, kTabColumns);  // a tab or a wide character must fit
  const auto prompt_columns = static_cast<size_t>(utf8::display_width(prompt));
  const size_t indent = prompt_columns + kTabColumns <= columns ? prompt_columns : 0;
  Drawing drawing;
  drawing.rows.emplace_back(indent == prompt_columns ? prompt : "");
  size_t column = indent;
  const auto new_row = [&](size_t start) {
    drawing.rows.emplace_back(start, ' ');
    column = start;
  };
  for (size_t i = 0; i <= text_.size(); ++i) {
    const char32_t code = i < text_.size() ? text_[i] : U' ';
    const bool breaks = code == '\n';
    const size_t width = breaks ? 0 : columns_of(code);
    // The cursor needs a column of its own even behind the last character or before a newline.
    const size_t needed = i == cursor_ ? std::max<size_t>(width, 1) : width;
    if (column + needed > columns) new_row(0);
    if (i == cursor_) {
      drawing.cursor_row = drawing.rows.size() - 1;
      drawing.cursor_column = column;
    }
    if (i == text_.size()) break;
    if (breaks) {
      new_row(indent);
    } else if (code == '\t') {
      drawing.rows.back().append(width, ' ');
    } else {
      utf8::append(drawing.rows.back(), code);
    }
    column += width;
  }
  return drawing;
}

}  // namespace duan::cli
