// The generation loop: prompt in, tokens out, one at a time.
#pragma once

#include <atomic>
#include <functional>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "engine/sampler.h"

namespace duan::engine {

struct GenerateOptions {
  int64_t max_tokens = -1;                    // < 0: until the context is full
  std::vector<int64_t> stop_ids{};            // end the answer and are not part of it
  const std::atomic<bool>* cancel = nullptr;  // set by another thread or a signal handler
};

enum class Finish { stop, length, context, cancelled };
std::string_view finish_name(Finish finish);  // "stop", "length", "context", "cancelled"

struct Generated {
  std::vector<int64_t> ids;  // without the stop id
  Finish finish;
  int64_t prompt_tokens;  // computed now, not those already in the cache
  double prefill_seconds;
  double decode_seconds;  // of the tokens after the first
};

// Appends `prompt` (not empty) to the engine's sequence and generates. `on_token` sees each token as it is chosen and
// may return false to stop (Finish::stop; that token is kept). Tokens chosen are in the engine's sequence afterwards,
// except the last one. Throws Error if the prompt does not fit the context.
Generated generate(Engine& engine, std::span<const int64_t> prompt, Sampler& sampler, const GenerateOptions& options,
                   const std::function<bool(int64_t id)>& on_token = {});

}  // namespace duan::engine
