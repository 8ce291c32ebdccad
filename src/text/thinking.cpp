#include "text/thinking.h"

#include <algorithm>

namespace duan::text {
namespace {

constexpr std::string_view kOpen = "<think>", kClose = "</think>";

// How many bytes at the end of `text` may be the start of `tag`.
size_t partial_tag(std::string_view text, std::string_view tag) {
  for (size_t size = std::min(text.size(), tag.size() - 1); size > 0; --size) {
    if (tag.starts_with(text.substr(text.size() - size))) return size;
  }
  return 0;
}

size_t leading(std::string_view text, std::string_view characters) {
  return std::min(text.find_first_not_of(characters), text.size());
}

size_t trailing_newlines(std::string_view text) {
  const size_t last = text.find_last_not_of('\n');
  return last == text.npos ? text.size() : text.size() - last - 1;
}

}  // namespace

ThinkingSplitter::Piece ThinkingSplitter::push(std::string_view piece) {
  held_ += piece;
  Piece out;
  drain(out, false);
  return out;
}

ThinkingSplitter::Piece ThinkingSplitter::finish() {
  Piece out;
  drain(out, true);
  return out;
}

void ThinkingSplitter::drain(Piece& out, bool last) {
  if (state_ == State::Before) {
    // White space before <think> is dropped with it, and given out if an answer follows instead.
    const std::string_view text = std::string_view(held_).substr(leading(held_, " \t\r\n"));
    if (text.starts_with(kOpen)) {
      held_.erase(0, held_.size() - text.size() + kOpen.size());
      state_ = State::Reasoning;
    } else if (!last && kOpen.starts_with(text)) {
      return;
    } else {
      state_ = State::Content;
    }
  }
  if (state_ == State::Reasoning) {
    if (!reasoning_started_) {
      held_.erase(0, leading(held_, "\n"));
      if (held_.empty()) return;
      reasoning_started_ = true;
    }
    const size_t close = held_.find(kClose);
    const bool closed = close != std::string::npos;
    size_t end = closed ? close : held_.size() - (last ? 0 : partial_tag(held_, kClose));
    // Line ends before a tag belong to it; until it is known whether one follows, they wait.
    const size_t newlines = trailing_newlines(std::string_view(held_).substr(0, end));
    out.reasoning.append(held_, 0, end - newlines);
    held_.erase(0, closed ? close + kClose.size() : end - newlines);
    if (!closed) {
      if (last) held_.clear();
      return;
    }
    state_ = State::After;
  }
  if (state_ == State::After) {
    held_.erase(0, leading(held_, "\n"));
    if (held_.empty()) return;
    state_ = State::Content;
  }
  out.content += held_;
  held_.clear();
}

bool ends_in_open_thinking(std::string_view prompt) {
  const size_t open = prompt.rfind(kOpen);
  return open != prompt.npos && prompt.find_first_not_of(" \t\r\n", open + kOpen.size()) == prompt.npos;
}

}  // namespace duan::text
