// Answers of a model: conversation, text or token ids in; pieces of text out as they are made.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "cli/answer_printer.h"
#include "cli/generation_flags.h"
#include "cli/image_prompt.h"
#include "cli/opened_model.h"
#include "engine/generate.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace duan::cli {

struct Answer {
  std::vector<int64_t> prompt_ids, ids;  // all of the prompt, also what was in the cache
  std::string content, reasoning;        // empty if the prompt was ids
  engine::Finish finish = engine::Finish::length;
  uint64_t seed = 0;
  int64_t pictures = 0, image_tokens = 0;         // of the prompt
  double image_seconds = 0;                       // spent on pictures that were not known
  int64_t prefill_tokens = 0, decode_tokens = 0;  // computed: prompt without the cached part; one per step of decoding
  double prefill_seconds = 0, decode_seconds = 0;
};

double per_second(int64_t count, double seconds);  // 0 if no time passed

class Responder {
 public:
  enum class Input { ids, text, conversation };  // decides which files the model folder must have

  Responder(const ModelOptions& model, const GenerationFlags& flags, Input input);

  using PieceFn = std::function<void(Part part, std::string_view text)>;

  // The answer to a list of messages, whose contents are as check_content demands. What the model's cache has in common
  // with the rendered conversation is not computed again. The flag `cancel` ends the answer early, also within the
  // prompt. Throws Error, after which the next call still works: the conversation does not fit the context, the
  // template refuses it, ...
  Answer answer(const Json& messages, const PieceFn& piece, const std::atomic<bool>* cancel);
  Answer continue_text(std::string_view text, const PieceFn& piece, const std::atomic<bool>* cancel);
  Answer continue_ids(std::vector<int64_t> ids, const std::atomic<bool>* cancel);

  void set_think(const std::string& think);  // on, off, auto; says if the template knows no such switch
  void set_seed_offset(uint64_t offset) { seed_offset_ = offset; }

  double load_seconds() const { return load_seconds_; }
  const engine::Engine& engine() const { return *engine_; }
  const std::string& engine_name() const { return model_->engine(); }

 private:
  struct TextStream;
  Answer generate(ImagePrompt prompt, TextStream* stream, const std::atomic<bool>* cancel);
  ImagePrompt place_pictures(std::vector<int64_t> ids, const Json& messages);
  size_t common_with_cache(const ImagePrompt& prompt) const;  // tokens
  bool prefill(std::span<const int64_t> prompt, Answer& answer, const std::atomic<bool>* cancel);

  GenerationFlags flags_;
  ModelOptions model_options_;
  std::optional<text::Tokenizer> tokenizer_;
  std::optional<text::ChatTemplate> template_;
  std::optional<OpenedModel> model_;  // the engine points into it
  std::unique_ptr<engine::Engine> engine_;
  engine::Sampling sampling_;
  std::vector<int64_t> stop_ids_;
  std::vector<bool> has_token_;
  std::optional<ImageReader> reader_;  // from the first picture on
  std::vector<int64_t> cached_;        // the tokens of the engine's sequence
  std::shared_ptr<const engine::SequenceImages> cached_images_;
  std::vector<uint64_t> cached_hashes_;  // of those
  uint64_t seed_offset_ = 0;
  double load_seconds_ = 0;
};

// Totals on stderr.
void print_stats(const Answer& answer, const Responder& responder);
Json timings_json(const Answer& answer, const Responder& responder);

}  // namespace duan::cli
