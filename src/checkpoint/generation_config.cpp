#include <array>
#include <limits>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "checkpoint/config.h"
#include "checkpoint/token_ids.h"

namespace duan::checkpoint {
namespace {

constexpr JsonLimits kLimits{.max_bytes = 4u << 20, .max_depth = 64};

// Decoding that is not offered: the file's advice is dropped, and that is said.
constexpr std::array kDropped = std::to_array<std::string_view>(
    {"bad_words_ids", "begin_suppress_tokens", "diversity_penalty", "dola_layers", "epsilon_cutoff", "eta_cutoff",
     "exponential_decay_length_penalty", "force_words_ids", "forced_bos_token_id", "forced_eos_token_id",
     "guidance_scale", "no_repeat_ngram_size", "penalty_alpha", "sequence_bias", "suppress_tokens",
     "watermarking_config"});

template <typename T>
std::optional<T> number(const Json& json, const char* key, T low, T high, const std::string& where) {
  if (!json.contains(key) || json[key].is_null()) return std::nullopt;
  const T value = json_at<T>(json, key, where);
  if (value < low || value > high) {
    throw Error(fmt::format("\"{}\" is {}, expected {} to {}", key, value, low, high), where);
  }
  return value;
}

bool is_empty(const Json& value) {
  return value.is_null() || (value.is_number() && value.get<double>() == 0) || (value.is_array() && value.empty());
}

bool is_there(const std::filesystem::path& file) {
  std::error_code ignored;
  return std::filesystem::exists(file, ignored);
}

}  // namespace

GenerationConfig parse_generation_config(const Json& json, const std::string& where) {
  if (!json.is_object()) throw Error("is not a JSON object", where);
  GenerationConfig g;
  if (json.contains("do_sample") && !json["do_sample"].is_null()) g.do_sample = json_at<bool>(json, "do_sample", where);
  g.temperature = number<double>(json, "temperature", 0, 100, where);
  g.top_k = number<int64_t>(json, "top_k", 0, kMaxTokenId, where);
  g.top_p = number<double>(json, "top_p", 0, 1, where);
  g.min_p = number<double>(json, "min_p", 0, 1, where);
  g.repetition_penalty = number<double>(json, "repetition_penalty", std::numeric_limits<float>::min(), 100, where);
  g.max_new_tokens = number<int64_t>(json, "max_new_tokens", 1, kMaxTokenId, where);
  g.eos_token_ids = token_id_list(json, "eos_token_id", where);
  g.pad_token_id = token_id(json, "pad_token_id", where);

  for (const std::string_view key : kDropped) {
    if (json.contains(key) && !is_empty(json[std::string(key)]))
      warn("{}: \"{}\" is not supported and is ignored", where, key);
  }
  if (number<int64_t>(json, "num_beams", 1, 1'000'000, where).value_or(1) > 1) {
    warn("{}: \"num_beams\" is not supported and is ignored", where);
  }
  return g;
}

GenerationConfig read_generation_config(const std::filesystem::path& folder) {
  GenerationConfig g;
  const std::filesystem::path file = folder / "generation_config.json";
  if (is_there(file)) g = parse_generation_config(read_json(file, kLimits), file.string());

  const std::filesystem::path model_file = folder / "config.json";
  if ((g.eos_token_ids.empty() || !g.pad_token_id) && is_there(model_file)) {
    const Json model = read_json(model_file, kLimits);
    if (!model.is_object()) throw Error("is not a JSON object", model_file.string());
    if (g.eos_token_ids.empty()) g.eos_token_ids = token_id_list(model, "eos_token_id", model_file.string());
    if (!g.pad_token_id) g.pad_token_id = token_id(model, "pad_token_id", model_file.string());
  }
  return g;
}

}  // namespace duan::checkpoint
