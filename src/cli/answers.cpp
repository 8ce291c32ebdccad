#include "cli/answers.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "cli/prompt_encoder.h"
#include "text/chat_samples.h"

namespace duan::cli {
namespace {

using Ids = std::vector<int64_t>;

bool begins_with(const Ids& ids, const Ids& start) {
  return ids.size() >= start.size() && std::equal(start.begin(), start.end(), ids.begin());
}

class Reader {
 public:
  Reader(const text::Tokenizer& tokenizer, const text::ChatTemplate& chat_template, const AnswerOptions& options)
      : tokenizer_(tokenizer), template_(chat_template), options_(options) {}

  void add(const text::TemplateInput& dialogue, const std::string& where) {
    const size_t first = answers_.ids.size();
    bool any = false;
    Ids before;  // all of the sequence added last
    for (size_t i = 0; i < dialogue.messages.size(); ++i) {
      if (dialogue.messages[i]["role"] != "assistant") continue;
      any = true;
      const Ids prompt = encode(dialogue, i, true, where), whole = encode(dialogue, i + 1, false, where);
      if (!begins_with(whole, prompt) || whole.size() == prompt.size()) {
        throw Error(fmt::format("message {} is not rendered as a continuation of its prompt", i + 1), where,
                    "the chat template renders an answer otherwise than it is generated; try --think on or off");
      }
      if (answers_.ids.size() == first || !begins_with(whole, before)) {
        answers_.ids.emplace_back();
        answers_.predicted.emplace_back();
      }
      const size_t end = end_of_answer(whole, prompt.size());
      Ids& positions = answers_.predicted.back();
      for (size_t at = std::max<size_t>(prompt.size(), 1); at < end; ++at)
        positions.push_back(static_cast<int64_t>(at));
      answers_.ids.back().assign(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(end));
      before = whole;
    }
    if (!any) throw Error("has no message of the assistant", where, "only answers are predicted");
    for (size_t i = first; i < answers_.ids.size(); ++i) cut(i, where);
  }

  Answers take() {
    // What --max-tokens has left without an answer.
    Answers kept;
    for (size_t i = 0; i < answers_.ids.size(); ++i) {
      if (answers_.predicted[i].empty()) continue;
      kept.ids.push_back(std::move(answers_.ids[i]));
      kept.predicted.push_back(std::move(answers_.predicted[i]));
    }
    return kept;
  }

 private:
  // The first `count` messages.
  Ids encode(const text::TemplateInput& dialogue, size_t count, bool prompt, const std::string& where) const {
    text::TemplateInput input;
    input.messages = Json(dialogue.messages.begin(), dialogue.messages.begin() + static_cast<std::ptrdiff_t>(count));
    input.tools = dialogue.tools;
    input.add_generation_prompt = prompt;
    if (options_.think != "auto") input.kwargs["enable_thinking"] = options_.think == "on";
    try {
      return encode_conversation(tokenizer_, template_, input);
    } catch (const Error& e) {
      throw text::refused_by_template(e, where);
    }
  }

  size_t end_of_answer(const Ids& ids, size_t begin) const {
    for (size_t at = begin; at < ids.size(); ++at) {
      if (std::count(options_.stop_ids.begin(), options_.stop_ids.end(), ids[at]) > 0) return at + 1;
    }
    return ids.size();
  }

  void cut(size_t index, const std::string& where) {
    Ids &ids = answers_.ids[index], &positions = answers_.predicted[index];
    if (options_.max_tokens > 0 && static_cast<int64_t>(ids.size()) > options_.max_tokens) {
      ids.resize(static_cast<size_t>(options_.max_tokens));
      positions.erase(std::lower_bound(positions.begin(), positions.end(), options_.max_tokens), positions.end());
    }
    if (static_cast<int64_t>(ids.size()) > options_.context) {
      throw Error(fmt::format("{} tokens do not fit a context of {}", ids.size(), options_.context), where,
                  "enlarge the context with -c, or cut sequences with --max-tokens");
    }
  }

  const text::Tokenizer& tokenizer_;
  const text::ChatTemplate& template_;
  const AnswerOptions& options_;
  Answers answers_;
};

}  // namespace

Answers read_answers(const std::filesystem::path& file, const text::Tokenizer& tokenizer,
                     const text::ChatTemplate& chat_template, const AnswerOptions& options) {
  Reader reader(tokenizer, chat_template, options);
  text::for_each_sample_line(file, [&](const Json& sample, const std::string& where) {
    if (!sample.is_object()) throw Error("is not an object with \"messages\"", where);
    reader.add(text::conversation_of(sample, where), where);
  });
  Answers answers = reader.take();
  if (answers.ids.empty()) throw Error("has no answer to predict", file.string());
  return answers;
}

}  // namespace duan::cli
