#include "engine/generate.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"

namespace duan::engine {
namespace {

constexpr size_t kPrefillPiece = 512;  // tokens

void check_room(const Engine& engine, int64_t tokens) {
  if (tokens <= engine.context() - engine.position()) return;
  throw Error(fmt::format("a prompt of {} tokens does not fit: {} of the context's {} positions are taken", tokens,
                          engine.position(), engine.context()),
              "", "enlarge the context with -c, or shorten the prompt");
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

std::string_view finish_name(Finish finish) {
  switch (finish) {
    case Finish::stop:
      return "stop";
    case Finish::length:
      return "length";
    case Finish::context:
      return "context";
    case Finish::cancelled:
      return "cancelled";
  }
  return "?";
}

Generated generate(Engine& engine, std::span<const int64_t> prompt, Sampler& sampler, const GenerateOptions& options,
                   const std::function<bool(int64_t id)>& on_token) {
  if (prompt.empty()) throw Error("the prompt has no tokens");
  sampler.observe_prompt(prompt);
  Generated result{{}, Finish::length, static_cast<int64_t>(prompt.size()), 0, 0};
  const auto cancelled = [&] { return options.cancel != nullptr && options.cancel->load(std::memory_order_relaxed); };
  if (options.max_tokens == 0) return result;

  auto start = std::chrono::steady_clock::now();
  const int64_t before = engine.position();
  check_room(engine, result.prompt_tokens);
  std::span<const float> logits;
  // In pieces, so that a long prompt can be cancelled; the results do not depend on them.
  for (size_t first = 0; first < prompt.size() && !cancelled(); first += kPrefillPiece) {
    logits = engine.forward(prompt.subspan(first, std::min(kPrefillPiece, prompt.size() - first)));
  }
  result.prefill_seconds = seconds_since(start);
  if (engine.position() - before < result.prompt_tokens) {
    engine.truncate(before);
    result.finish = Finish::cancelled;
    return result;
  }

  start = std::chrono::steady_clock::now();
  while (true) {
    if (cancelled()) {
      result.finish = Finish::cancelled;
      break;
    }
    const int64_t id = sampler.next(logits);
    if (std::find(options.stop_ids.begin(), options.stop_ids.end(), id) != options.stop_ids.end()) {
      result.finish = Finish::stop;
      break;
    }
    result.ids.push_back(id);
    if (on_token && !on_token(id)) {
      result.finish = Finish::stop;
      break;
    }
    if (options.max_tokens > 0 && static_cast<int64_t>(result.ids.size()) >= options.max_tokens) {
      result.finish = Finish::length;
      break;
    }
    if (engine.position() >= engine.context()) {
      result.finish = Finish::context;
      break;
    }
    logits = engine.forward(std::span(&id, 1));
  }
  result.decode_seconds = seconds_since(start);
  return result;
}

}  // namespace duan::engine
