// Separates what a model thinks from what it answers, while the text arrives in pieces.
#pragma once

#include <string>
#include <string_view>

namespace duan::text {

// Text between <think> and </think> is reasoning, the rest is content. The tags themselves are never given out, also
// when they are split over pieces. As vLLM's parser for Qwen3 does: line ends right after <think> and right before
// </think> belong to the tags, and so do those right after </think>. Only the first pair of tags counts: a <think>
// after the first content that is not white space is content.
class ThinkingSplitter {
 public:
  struct Piece {
    std::string reasoning, content;
  };

  // `in_reasoning`: the prompt ended inside an open <think>, so the text starts as reasoning.
  explicit ThinkingSplitter(bool in_reasoning = false) : state_(in_reasoning ? State::Reasoning : State::Before) {}

  Piece push(std::string_view piece);
  Piece finish();  // what was held back because a tag might have started

  bool reasoning() const { return state_ == State::Reasoning; }

 private:
  enum class State { Before, Reasoning, After, Content };
  // Moves what is decided from held_ to `out`; `last`: nothing will follow.
  void drain(Piece& out, bool last);

  State state_;
  bool reasoning_started_ = false;  // past the line ends after <think>
  std::string held_;
};

// Whether the prompt ends inside an open <think>, as those of Thinking models do.
bool ends_in_open_thinking(std::string_view prompt);

}  // namespace duan::text
