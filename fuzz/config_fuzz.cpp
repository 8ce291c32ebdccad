// Any text as config.json and as generation_config.json: an Error, or a config within its documented ranges. The text
// is also laid over a valid configuration, because a random text almost never has all the sizes.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "checkpoint/config.h"

using namespace duan;
using namespace duan::checkpoint;

namespace {

constexpr JsonLimits kLimits{.max_bytes = 1 << 20, .max_depth = 64};

void require(bool condition) {
  if (!condition) std::abort();
}

void check(const ModelConfig& c) {
  for (const int64_t size : {c.vocab_size, c.hidden_size, c.intermediate_size, c.num_hidden_layers,
                             c.num_attention_heads, c.num_key_value_heads, c.head_dim, c.max_position_embeddings}) {
    require(size >= 1 && size < int64_t{1} << 31);
  }
  require(c.num_hidden_layers <= 1000 && c.num_attention_heads % c.num_key_value_heads == 0 && c.head_dim % 2 == 0);
  for (const int64_t a : {c.vocab_size, c.intermediate_size, c.num_attention_heads * c.head_dim}) {
    require(a <= (int64_t{1} << 48) / c.hidden_size);
  }
  require(c.rms_norm_eps > 0 && c.rms_norm_eps <= 1 && c.rope.theta > 1 && std::isfinite(c.rope.theta));
  for (const int64_t id : c.eos_token_ids) require(id >= 0 && id < c.vocab_size);
  if (const auto* yarn = std::get_if<YarnRope>(&c.rope.scaling)) {
    require(yarn->factor >= 1 && yarn->original_positions >= 1 && yarn->beta_fast > yarn->beta_slow &&
            yarn->beta_slow > 0 && yarn->attention_factor > 0);
  }
  if (const auto* llama3 = std::get_if<Llama3Rope>(&c.rope.scaling)) {
    require(llama3->factor > 0 && llama3->low_freq_factor < llama3->high_freq_factor &&
            llama3->original_positions >= 1);
  }
}

template <typename Function>
void expect_result_or_error(Function&& function) {
  try {
    function();
  } catch (const Error& e) {
    require(std::strchr(e.what(), '\n') == nullptr && std::strlen(e.what()) < 4000);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Json json;
  try {
    json = parse_json(text, "fuzz", kLimits);
  } catch (const Error&) {
    return 0;
  }
  expect_result_or_error([&] { check(parse_config(json, "fuzz")); });
  expect_result_or_error([&] {
    const GenerationConfig g = parse_generation_config(json, "fuzz");
    require(!g.top_p || (*g.top_p >= 0 && *g.top_p <= 1));
    require(!g.repetition_penalty || *g.repetition_penalty > 0);
  });
  if (!json.is_object()) return 0;

  Json whole = {{"model_type", "qwen3"},  {"vocab_size", 100},      {"hidden_size", 64},
                {"intermediate_size", 8}, {"num_hidden_layers", 2}, {"num_attention_heads", 4}};
  whole.update(json);
  expect_result_or_error([&] { check(parse_config(whole, "fuzz")); });
  return 0;
}
