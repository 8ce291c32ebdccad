// The answers of dialogues as sequences to evaluate a model on: it predicts what the assistant said, the rest is read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace duan::cli {

struct Answers {
  std::vector<std::vector<int64_t>> ids;        // each from the dialogue's beginning to the end of an answer
  std::vector<std::vector<int64_t>> predicted;  // positions in them, ascending
};

struct AnswerOptions {
  std::string think = "auto";     // on, off, auto
  std::vector<int64_t> stop_ids;  // what ends an answer
  int64_t max_tokens = 0;         // of a sequence; 0: all
  int64_t context = 0;            // longer sequences are an Error
};

// A file with {"messages": [...], "tools": [...]} a line. For each message of the assistant, what rendering the
// dialogue up to and with it adds to the generation prompt after those before it is predicted, up to the first of
// `stop_ids` (to the end, if there is none). An answer whose sequence begins with that of the one before is predicted
// in the same sequence; templates that drop thoughts of earlier answers make each its own. Throws Error naming
// file:line: a line that is no conversation or has no answer, one the template refuses, a prompt that is not how the
// rendered answer begins, or a sequence longer than the context.
Answers read_answers(const std::filesystem::path& file, const text::Tokenizer& tokenizer,
                     const text::ChatTemplate& chat_template, const AnswerOptions& options);

}  // namespace duan::cli
