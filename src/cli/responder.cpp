#include "cli/responder.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "base/error.h"
#include "base/log.h"
#include "cli/prompt_encoder.h"
#include "cli/stop_strings.h"
#include "engine/memory.h"
#include "text/thinking.h"

namespace duan::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int64_t kStatsWindow = 20;  // tokens
constexpr size_t kPromptTail = 4;     // enough for "<think>" and line ends

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

Json think_kwargs(const std::string& think) {
  return think == "auto" ? Json::object() : Json{{"enable_thinking", think == "on"}};
}

// Speed of the last tokens, on stderr.
class Speedometer {
 public:
  void count() {
    if (++tokens_ % kStatsWindow == 1) {
      start_ = Clock::now();
    } else if (tokens_ % kStatsWindow == 0) {
      fmt::print(stderr, "[{} tokens: {:.2f} tokens/s]\n", tokens_,
                 per_second(kStatsWindow - 1, seconds_since(start_)));
    }
  }

 private:
  int64_t tokens_ = 0;
  Clock::time_point start_;
};

}  // namespace

double per_second(int64_t count, double seconds) { return seconds > 0 ? static_cast<double>(count) / seconds : 0; }

// Tokens of an answer become its reasoning and its content, up to a stop string.
struct Responder::TextStream {
  // Without a splitter all of it is content.
  TextStream(const text::Tokenizer& tokenizer, std::optional<text::ThinkingSplitter> thinking,
             const GenerationFlags& flags, const PieceFn& sink)
      : decoder(tokenizer), splitter(std::move(thinking)), stops(flags.stop_strings), piece(sink) {}

  // False if the answer ends here.
  bool push(int64_t id) {
    take(decoder.push(id));
    return !stops.stopped();
  }
  void finish() {
    take(decoder.finish());
    if (splitter) show(splitter->finish());
    show(Part::content, stops.finish());
  }
  void take(const std::string& text) {
    show(splitter ? splitter->push(text) : text::ThinkingSplitter::Piece{"", text});
  }
  void show(const text::ThinkingSplitter::Piece& made) {
    show(Part::reasoning, made.reasoning);
    show(Part::content, stops.push(made.content));
  }
  void show(Part part, const std::string& text) {
    if (text.empty()) return;
    (part == Part::reasoning ? reasoning : content) += text;
    if (piece) piece(part, text);
  }

  text::StreamingDecoder decoder;
  std::optional<text::ThinkingSplitter> splitter;
  StopStrings stops;
  const PieceFn& piece;
  std::string content, reasoning;
};

Responder::Responder(const ModelOptions& options, const GenerationFlags& flags, Input input)
    : flags_(flags), model_options_(options) {
  const auto start = Clock::now();
  const auto folder = model_folder(options.model);
  // What is cheap to check comes before the weights.
  const StopStrings checked(flags.stop_strings);
  const checkpoint::GenerationConfig advice = ort::read_generation_config(folder);
  sampling_ = sampling_of(flags, advice);
  stop_ids_ = stop_ids_of(flags, advice);
  if (input != Input::ids) {
    tokenizer_ = text::Tokenizer::load(folder);
    for (int64_t id = 0; id < tokenizer_->vocab_size(); ++id) has_token_.push_back(tokenizer_->has_token(id));
  }
  if (input == Input::conversation) {
    try {
      template_ = text::ChatTemplate::load(folder);
    } catch (const Error& e) {
      throw Error(e.message(), e.where(), "`duan run --raw` continues a text without a chat template");
    }
    set_think(flags.think);
  }
  model_.emplace(options);
  engine_ = model_->make_engine(options);
  load_seconds_ = seconds_since(start);
}

void Responder::set_think(const std::string& think) {
  flags_.think = think;
  if (think == "auto") return;
  const Json messages = Json::array({{{"role", "user"}, {"content", "?"}}});
  const auto with = [&](const char* value) {
    return template_->render({.messages = messages, .kwargs = think_kwargs(value)});
  };
  if (with("on") == with("off")) warn("this model's chat template does not know --think; it has no effect");
}

Answer Responder::answer(const Json& messages, const PieceFn& piece, const std::atomic<bool>* cancel) {
  const text::TemplateInput input{.messages = messages, .kwargs = think_kwargs(flags_.think)};
  std::vector<int64_t> prompt = encode_conversation(*tokenizer_, *template_, input);
  // The last tokens alone: whatever stands before them is not the template's.
  const size_t tail = std::min(prompt.size(), kPromptTail);
  const std::string end = tokenizer_->decode(std::span(prompt).last(tail));
  const text::ThinkingSplitter splitter(text::ends_in_open_thinking(end));
  TextStream stream(*tokenizer_, splitter, flags_, piece);
  return generate(place_pictures(std::move(prompt), messages), &stream, cancel);
}

ImagePrompt Responder::place_pictures(std::vector<int64_t> ids, const Json& messages) {
  const std::vector<Picture> pictures = pictures_in(messages);
  if (pictures.empty()) return {.ids = std::move(ids)};
  const checkpoint::ModelConfig config = model_->config();
  if (!reader_) reader_.emplace(model_->folder(), config, model_->make_encoder(model_options_), flags_.images);
  return cli::place_pictures(std::move(ids), pictures, *reader_, *config.image_tokens, *tokenizer_, flags_.images.fps);
}

Answer Responder::continue_text(std::string_view text, const PieceFn& piece, const std::atomic<bool>* cancel) {
  TextStream stream(*tokenizer_, std::nullopt, flags_, piece);
  return generate({.ids = tokenizer_->encode(text)}, &stream, cancel);
}

Answer Responder::continue_ids(std::vector<int64_t> ids, const std::atomic<bool>* cancel) {
  return generate({.ids = std::move(ids)}, nullptr, cancel);
}

// Brings all but the last few tokens of the prompt into the engine's sequence, a chunk at a time, so that `cancel` is
// heard. False if it was.
bool Responder::prefill(std::span<const int64_t> prompt, Answer& answer, const std::atomic<bool>* cancel) {
  const auto start = Clock::now();
  const auto size = static_cast<int64_t>(prompt.size());
  bool heard = false;
  while (!heard && engine_->position() + model_options_.chunk < size) {
    engine_->forward(
        prompt.subspan(static_cast<size_t>(engine_->position()), static_cast<size_t>(model_options_.chunk)));
    heard = cancel != nullptr && cancel->load(std::memory_order_relaxed);
  }
  answer.prefill_seconds += seconds_since(start);
  return !heard;
}

// Tokens alike whose images are, too.
size_t Responder::common_with_cache(const ImagePrompt& prompt) const {
  const auto same = std::mismatch(cached_.begin(), cached_.end(), prompt.ids.begin(), prompt.ids.end()).first;
  auto common = static_cast<size_t>(same - cached_.begin());
  const size_t images = std::min(cached_hashes_.size(), prompt.hashes.size());
  for (size_t i = 0; i < images; ++i) {
    const int64_t first = prompt.images->images()[i].first;
    if (cached_hashes_[i] == prompt.hashes[i] && cached_images_->images()[i].first == first) continue;
    return std::min({common, static_cast<size_t>(first), static_cast<size_t>(cached_images_->images()[i].first)});
  }
  return common;
}

Answer Responder::generate(ImagePrompt image_prompt, TextStream* stream, const std::atomic<bool>* cancel) {
  const std::vector<int64_t>& prompt = image_prompt.ids;
  if (prompt.empty()) throw Error("has no tokens", "the prompt");
  const auto size = static_cast<int64_t>(prompt.size());
  if (size > engine_->context()) {
    throw Error(fmt::format("{} tokens do not fit the context of {}", size, engine_->context()), "the prompt",
                "shorten it (in a chat: /clear), or make the context larger with -c as far as the model allows");
  }
  Answer answer;
  answer.prompt_ids = prompt;
  engine::Sampling sampling = sampling_;
  sampling.seed += seed_offset_;
  answer.seed = sampling.seed;

  // The last token of the prompt is always computed: its logits are needed.
  engine_->truncate(static_cast<int64_t>(std::min(common_with_cache(image_prompt), prompt.size() - 1)));
  engine_->set_images(image_prompt.images);
  const int64_t reused = engine_->position();
  // Whatever happens below, the engine's sequence is a beginning of `cached_`.
  cached_ = prompt;
  cached_images_ = image_prompt.images;
  cached_hashes_ = image_prompt.hashes;
  answer.pictures = image_prompt.pictures;
  answer.image_tokens = image_prompt.image_tokens;
  answer.image_seconds = image_prompt.image_seconds;
  try {
    if (!prefill(prompt, answer, cancel)) {
      answer.finish = engine::Finish::cancelled;
    } else {
      engine::Sampler sampler(sampling, has_token_);
      const auto rest = std::span<const int64_t>(prompt).subspan(static_cast<size_t>(engine_->position()));
      sampler.observe_prompt(std::span<const int64_t>(prompt).first(prompt.size() - rest.size()));
      Speedometer speedometer;
      const auto on_token = [&](int64_t id) {
        cached_.push_back(id);
        if (flags_.stats) speedometer.count();
        return stream == nullptr || stream->push(id);
      };
      engine::Generated generated =
          engine::generate(*engine_, rest, sampler,
                           {.max_tokens = flags_.max_tokens, .stop_ids = stop_ids_, .cancel = cancel}, on_token);
      answer.ids = std::move(generated.ids);
      answer.finish = generated.finish;
      answer.prefill_seconds += generated.prefill_seconds;
      answer.decode_seconds = generated.decode_seconds;
    }
  } catch (...) {
    cached_.resize(static_cast<size_t>(engine_->position()));
    throw;
  }
  cached_.resize(static_cast<size_t>(engine_->position()));
  answer.prefill_tokens = std::min(engine_->position(), size) - reused;
  answer.decode_tokens = std::max<int64_t>(0, engine_->position() - size);
  if (stream != nullptr) {
    stream->finish();
    answer.content = std::move(stream->content);
    answer.reasoning = std::move(stream->reasoning);
  }
  return answer;
}

void print_stats(const Answer& a, const Responder& responder) {
  const std::string images =
      a.pictures == 0 ? ""
                      : fmt::format("images   {}, {} tokens, {:.2f} s\n", a.pictures, a.image_tokens, a.image_seconds);
  fmt::print(stderr,
             "engine   {}, {}, {} thread{}\n"
             "load     {:.2f} s\n"
             "{}"
             "prefill  {} tokens ({} in the cache already), {:.2f} s, {:.2f} tokens/s\n"
             "decode   {} tokens, {:.2f} s, {:.2f} tokens/s\n"
             "peak     {:.1f} MiB of memory\n"
             "seed     {}\n",
             responder.engine_name(), compute_name(responder.engine().compute()), responder.engine().threads(),
             responder.engine().threads() == 1 ? "" : "s", responder.load_seconds(), images, a.prefill_tokens,
             static_cast<int64_t>(a.prompt_ids.size()) - a.prefill_tokens, a.prefill_seconds,
             per_second(a.prefill_tokens, a.prefill_seconds), a.decode_tokens, a.decode_seconds,
             per_second(a.decode_tokens, a.decode_seconds), static_cast<double>(engine::peak_resident()) / (1 << 20),
             a.seed);
}

Json timings_json(const Answer& a, const Responder& responder) {
  Json json = {{"load_seconds", responder.load_seconds()},
               {"prefill_tokens", a.prefill_tokens},
               {"prefill_seconds", a.prefill_seconds},
               {"prefill_tokens_per_second", per_second(a.prefill_tokens, a.prefill_seconds)},
               {"decode_tokens", a.decode_tokens},
               {"decode_seconds", a.decode_seconds},
               {"decode_tokens_per_second", per_second(a.decode_tokens, a.decode_seconds)}};
  if (a.pictures > 0) {
    json["pictures"] = a.pictures;
    json["image_tokens"] = a.image_tokens;
    json["image_seconds"] = a.image_seconds;
  }
  return json;
}

}  // namespace duan::cli
