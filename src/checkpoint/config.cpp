#include "checkpoint/config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <string_view>

#include "base/error.h"
#include "checkpoint/awq_gptq_config.h"
#include "checkpoint/config_keys.h"
#include "checkpoint/token_ids.h"

namespace duan::checkpoint {
namespace {

constexpr int64_t kMaxSize = (int64_t{1} << 31) - 1;
constexpr int64_t kMaxLayers = 1000;
constexpr int64_t kMaxHeads = 1 << 16, kMaxHeadDim = 1 << 16;
constexpr int64_t kMaxProduct = int64_t{1} << 48;  // elements of one matrix

struct Family {
  std::string_view model_type;
  int64_t max_position_embeddings;  // as in transformers if absent
  int64_t bos, eos;                 // likewise; -1 for none
};
constexpr std::array kFamilies = std::to_array<Family>({
    {"qwen3", 32768, -1, -1},
    {"qwen2", 32768, -1, -1},
    {"llama", 2048, 1, 2},
    {"qwen3_vl", 128000, -1, -1},
});

const Family& family_of(const Json& json, const std::string& where) {
  const auto model_type = json_at<std::string>(json, "model_type", where);
  for (const Family& family : kFamilies) {
    if (family.model_type == model_type) return family;
  }
  throw Error(fmt::format("model_type \"{}\" is not supported by this version", printable(model_type, 60)), where,
              "supported: qwen3, qwen3_vl, qwen2, llama");
}

int64_t in_range(const char* key, int64_t value, int64_t low, int64_t high, const std::string& where) {
  if (value < low || value > high) {
    throw Error(fmt::format("\"{}\" is {}, expected {} to {}", key, value, low, high), where);
  }
  return value;
}
int64_t size_at(const Json& json, const char* key, const std::string& where, int64_t high = kMaxSize) {
  return in_range(key, json_at<int64_t>(json, key, where), 1, high, where);
}
int64_t size_or(const Json& json, const char* key, int64_t fallback, const std::string& where) {
  return in_range(key, json_or<int64_t>(json, key, fallback, where), 1, kMaxSize, where);
}

// `value`, the number at `key`, if it lies in (low, high].
double number_in(const char* key, double value, double low, double high, const std::string& where) {
  if (!(value > low && value <= high)) {
    throw Error(fmt::format("\"{}\" is {}, expected more than {} and at most {}", key, value, low, high), where);
  }
  return value;
}

void check_product(const char* what, int64_t a, int64_t b, const std::string& where) {
  if (a > kMaxProduct / b) throw Error(fmt::format("{} = {} x {} is too large (at most 2^48)", what, a, b), where);
}

// Keys of the rope object that its type does not read would be ignored mathematics.
void check_rope_keys(const Json& rope, const std::string& type, std::initializer_list<std::string_view> read,
                     const std::string& where) {
  for (const auto& [key, value] : rope.items()) {
    if (value.is_null() || key == "rope_type" || key == "type" || key == "rope_theta") continue;
    if (key == "partial_rotary_factor" && value.is_number() && value.get<double>() == 1) continue;
    if (std::find(read.begin(), read.end(), key) == read.end()) {
      throw Error(fmt::format("\"{}\": {} is not supported in the rope parameters of type {}", printable(key, 60),
                              printable(to_text(value), 60), type),
                  where);
    }
  }
}

RopeScaling yarn(const Json& rope, int64_t max_positions, const std::string& where) {
  check_rope_keys(
      rope, "yarn",
      {"factor", "original_max_position_embeddings", "beta_fast", "beta_slow", "attention_factor", "truncate"}, where);
  if (!json_or<bool>(rope, "truncate", true, where)) {
    throw Error("\"truncate\": false is not supported in the rope parameters of type yarn", where);
  }
  YarnRope yarn{};
  yarn.factor = number_in("factor", json_at<double>(rope, "factor", where), 0, 1e6, where);
  if (yarn.factor < 1) throw Error(fmt::format("\"factor\" is {}, expected at least 1", yarn.factor), where);
  yarn.original_positions = size_or(rope, "original_max_position_embeddings", max_positions, where);
  const auto beta = [&](const char* key, double fallback) {
    const double value = json_or<double>(rope, key, fallback, where);
    return value == 0 ? fallback : number_in(key, value, 0, 1e6, where);  // transformers takes 0 for absent
  };
  yarn.beta_fast = beta("beta_fast", 32);
  yarn.beta_slow = beta("beta_slow", 1);
  if (yarn.beta_fast <= yarn.beta_slow) {
    throw Error(fmt::format("\"beta_fast\" {} is not above \"beta_slow\" {}", yarn.beta_fast, yarn.beta_slow), where);
  }
  const double inferred = yarn.factor <= 1 ? 1 : 0.1 * std::log(yarn.factor) + 1;
  yarn.attention_factor =
      number_in("attention_factor", json_or<double>(rope, "attention_factor", inferred, where), 0, 1e3, where);
  return yarn;
}

RopeScaling llama3(const Json& rope, const std::string& where) {
  check_rope_keys(rope, "llama3", {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"},
                  where);
  const auto positive = [&](const char* key) {
    return number_in(key, json_at<double>(rope, key, where), 0, 1e6, where);
  };
  const Llama3Rope scaling{positive("factor"), positive("low_freq_factor"), positive("high_freq_factor"),
                           size_at(rope, "original_max_position_embeddings", where)};
  if (scaling.low_freq_factor >= scaling.high_freq_factor) {
    throw Error(fmt::format("\"low_freq_factor\" {} is not below \"high_freq_factor\" {}", scaling.low_freq_factor,
                            scaling.high_freq_factor),
                where);
  }
  return scaling;
}

InterleavedAxes interleaved_axes(const Json& rope, const std::string& where) {
  // transformers computes Qwen3-VL's rotation interleaved whatever the key says; false would mean something else.
  if (!json_or<bool>(rope, "mrope_interleaved", true, where)) {
    throw Error("\"mrope_interleaved\": false is not supported for model_type qwen3_vl", where);
  }
  const auto found = rope.find("mrope_section");
  const bool three = found != rope.end() && found->is_array() && found->size() == 3;
  if (!three) throw Error("\"mrope_section\" is not a list of three numbers", where);
  InterleavedAxes axes{};
  for (size_t i = 0; i < 3; ++i) {
    if (!(*found)[i].is_number_integer()) throw Error("\"mrope_section\" is not a list of three whole numbers", where);
    axes.sections[i] = in_range("mrope_section", (*found)[i].get<int64_t>(), 0, kMaxHeadDim, where);
  }
  return axes;
}

// transformers 4: rope_theta and rope_scaling {type | rope_type, ...}; 5: rope_parameters {rope_type, rope_theta, ...}.
Rope parse_rope(const Json& json, int64_t max_positions, bool sees_images, const std::string& where) {
  static const Json kEmpty = Json::object();
  const auto object_at = [&](const char* key) -> const Json& {
    const auto found = json.find(key);
    if (found == json.end() || found->is_null()) return kEmpty;
    if (!found->is_object()) {
      throw Error(fmt::format("\"{}\" is {}, expected an object", key, printable(to_text(*found), 60)), where);
    }
    return *found;
  };
  const Json& old_form = object_at("rope_scaling");
  const Json& new_form = object_at("rope_parameters");
  if (!old_form.empty() && !new_form.empty() && old_form != new_form) {
    throw Error("\"rope_scaling\" and \"rope_parameters\" are both given and differ", where);
  }
  const Json& rope = new_form.empty() ? old_form : new_form;

  const auto theta_of = [&](const Json& object) -> std::optional<double> {
    if (!object.contains("rope_theta") || object["rope_theta"].is_null()) return std::nullopt;
    return number_in("rope_theta", json_at<double>(object, "rope_theta", where), 1, 1e12, where);
  };
  const std::optional<double> outer_theta = theta_of(json), inner_theta = theta_of(rope);
  if (outer_theta && inner_theta && *outer_theta != *inner_theta) {
    throw Error(fmt::format("\"rope_theta\" is given as {} and as {}", *outer_theta, *inner_theta), where);
  }
  Rope out{};
  out.theta = inner_theta ? *inner_theta : outer_theta.value_or(10'000);

  const auto new_type = json_or<std::string>(rope, "rope_type", "", where);
  const auto old_type = json_or<std::string>(rope, "type", "", where);
  if (!new_type.empty() && !old_type.empty() && new_type != old_type) {
    throw Error(
        fmt::format("\"rope_type\" is \"{}\" and \"type\" is \"{}\"", printable(new_type, 40), printable(old_type, 40)),
        where);
  }
  const std::string type = !new_type.empty() ? new_type : !old_type.empty() ? old_type : "default";
  if (sees_images) {
    if (type != "default") {
      throw Error(fmt::format("rope_type \"{}\" is not supported for model_type qwen3_vl", printable(type, 40)), where);
    }
    check_rope_keys(rope, type, {"mrope_section", "mrope_interleaved"}, where);
    out.axes = interleaved_axes(rope, where);
  } else if (type == "default") {
    check_rope_keys(rope, type, {}, where);
    out.scaling = DefaultRope{};
  } else if (type == "yarn") {
    out.scaling = yarn(rope, max_positions, where);
  } else if (type == "llama3") {
    out.scaling = llama3(rope, where);
  } else {
    throw Error(fmt::format("rope_type \"{}\" is not supported", printable(type, 40)), where,
                "supported: default, yarn, llama3");
  }
  return out;
}

std::vector<std::string> string_list(const Json& json, const char* key, const std::string& where) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return {};
  const bool strings =
      found->is_array() && std::all_of(found->begin(), found->end(), [](const Json& v) { return v.is_string(); });
  if (!strings)
    throw Error(fmt::format("\"{}\" is {}, expected a list of strings", key, printable(to_text(*found), 60)), where);
  return found->get<std::vector<std::string>>();
}

std::string parse_dtype(const Json& json, const std::string& where) {
  const auto new_form = json_or<std::string>(json, "dtype", "", where);
  const auto old_form = json_or<std::string>(json, "torch_dtype", "", where);
  if (!new_form.empty() && !old_form.empty() && new_form != old_form) {
    throw Error(fmt::format("\"dtype\" is \"{}\" and \"torch_dtype\" is \"{}\"", printable(new_form, 40),
                            printable(old_form, 40)),
                where);
  }
  const std::string dtype = new_form.empty() ? old_form : new_form;
  return dtype.starts_with("torch.") ? dtype.substr(6) : dtype;
}

void parse_token_ids(const Json& json, const Family& family, ModelConfig& config, const std::string& where) {
  config.eos_token_ids = token_id_list(json, "eos_token_id", where);
  config.bos_token_id = token_id(json, "bos_token_id", where);
  config.pad_token_id = token_id(json, "pad_token_id", where);
  const auto check = [&](const char* key, int64_t id) {
    if (id >= config.vocab_size) {
      throw Error(fmt::format("\"{}\" is {}, beyond the vocab_size {}", key, id, config.vocab_size), where);
    }
  };
  for (const int64_t id : config.eos_token_ids) check("eos_token_id", id);
  if (config.bos_token_id) check("bos_token_id", *config.bos_token_id);
  if (config.pad_token_id) check("pad_token_id", *config.pad_token_id);

  // Absent means the family's default; null means none.
  if (!json.contains("eos_token_id") && family.eos >= 0 && family.eos < config.vocab_size)
    config.eos_token_ids = {family.eos};
  if (!json.contains("bos_token_id") && family.bos >= 0 && family.bos < config.vocab_size)
    config.bos_token_id = family.bos;
}

ModelConfig parse_decoder(const Json& json, const Family& family, const std::string& where) {
  ModelConfig c;
  c.model_type = family.model_type;
  check_config_keys(json, c.model_type, where);
  c.architectures = string_list(json, "architectures", where);
  c.vocab_size = size_at(json, "vocab_size", where);
  c.hidden_size = size_at(json, "hidden_size", where);
  c.intermediate_size = size_at(json, "intermediate_size", where);
  c.num_hidden_layers = size_at(json, "num_hidden_layers", where, kMaxLayers);
  c.num_attention_heads = size_at(json, "num_attention_heads", where, kMaxHeads);
  // transformers would assume 32 for an absent count of a Qwen; no released file lacks it where that matters.
  c.num_key_value_heads = size_or(json, "num_key_value_heads", c.num_attention_heads, where);
  c.max_position_embeddings = size_or(json, "max_position_embeddings", family.max_position_embeddings, where);
  if (c.num_attention_heads % c.num_key_value_heads != 0) {
    throw Error(fmt::format("\"num_attention_heads\" {} is not a multiple of \"num_key_value_heads\" {}",
                            c.num_attention_heads, c.num_key_value_heads),
                where);
  }

  // Absent means hidden_size / heads for all families, Qwen3 included (transformers 5 would say 128 there).
  if (json.contains("head_dim") && !json["head_dim"].is_null()) {
    c.head_dim = json_at<int64_t>(json, "head_dim", where);
  } else if (c.hidden_size % c.num_attention_heads == 0) {
    c.head_dim = c.hidden_size / c.num_attention_heads;
  } else {
    throw Error(
        fmt::format("\"head_dim\" is missing and \"hidden_size\" {} is not a multiple of \"num_attention_heads\" {}",
                    c.hidden_size, c.num_attention_heads),
        where);
  }
  in_range("head_dim", c.head_dim, 1, kMaxHeadDim, where);
  if (c.head_dim % 2 != 0) throw Error(fmt::format("\"head_dim\" is {}, expected an even number", c.head_dim), where);
  check_product("vocab_size x hidden_size", c.vocab_size, c.hidden_size, where);
  check_product("intermediate_size x hidden_size", c.intermediate_size, c.hidden_size, where);
  check_product("num_attention_heads x head_dim x hidden_size", c.num_attention_heads * c.head_dim, c.hidden_size,
                where);

  c.rms_norm_eps = number_in("rms_norm_eps", json_or<double>(json, "rms_norm_eps", 1e-6, where), 0, 1, where);
  c.tie_word_embeddings = json_or<bool>(json, "tie_word_embeddings", false, where);
  c.attention_bias = c.model_type == "qwen2";
  c.rope = parse_rope(json, c.max_position_embeddings, family.model_type == "qwen3_vl", where);
  if (const auto* axes = std::get_if<InterleavedAxes>(&c.rope.axes)) {
    const auto& [t, h, w] = axes->sections;
    if (t + h + w != c.head_dim / 2) {
      throw Error(fmt::format("\"mrope_section\" {} + {} + {} is not half of \"head_dim\" {}", t, h, w, c.head_dim),
                  where);
    }
  }
  c.dtype = parse_dtype(json, where);
  if (json.contains("quantization_config") && !json["quantization_config"].is_null()) {
    c.quantization = parse_quantization_config(json["quantization_config"], where);
  }
  parse_token_ids(json, family, c, where);
  return c;
}

// Qwen3-VL: the decoder's keys in text_config, the tower's in vision_config.
ModelConfig parse_qwen3_vl(const Json& json, const Family& family, const std::string& where) {
  constexpr std::array kTop = std::to_array<std::string_view>(
      {"architectures", "dtype", "image_token_id", "model_type", "quantization_config", "text_config",
       "tie_word_embeddings", "torch_dtype", "video_token_id", "vision_config", "vision_end_token_id",
       "vision_start_token_id", "eos_token_id", "bos_token_id", "pad_token_id"});
  warn_of_unknown_keys(json, kTop, where);
  const auto section = [&](const char* key) -> const Json& {
    const auto found = json.find(key);
    if (found == json.end() || !found->is_object()) throw Error(fmt::format("\"{}\" is not an object", key), where);
    return *found;
  };
  const Json& text = section("text_config");
  const std::string text_where = where + ": text_config";
  const auto text_type = json_or<std::string>(text, "model_type", "qwen3_vl_text", text_where);
  if (text_type != "qwen3_vl_text") {
    throw Error(fmt::format("model_type \"{}\" is not supported, only qwen3_vl_text", printable(text_type, 60)),
                text_where);
  }
  ModelConfig c = parse_decoder(text, family, text_where);
  c.architectures = string_list(json, "architectures", where);
  c.tie_word_embeddings = json_or<bool>(json, "tie_word_embeddings", c.tie_word_embeddings, where);
  if (c.dtype.empty()) c.dtype = parse_dtype(json, where);
  if (json.contains("quantization_config") && !json["quantization_config"].is_null()) {
    c.quantization = parse_quantization_config(json["quantization_config"], where);
  }
  c.vision = parse_vision_config(section("vision_config"), where + ": vision_config");
  if (c.vision->out_hidden_size != c.hidden_size) {
    throw Error(fmt::format("\"out_hidden_size\" of the vision tower is {}, \"hidden_size\" of the decoder {}",
                            c.vision->out_hidden_size, c.hidden_size),
                where);
  }
  if (static_cast<int64_t>(c.vision->deepstack_visual_indexes.size()) > c.num_hidden_layers) {
    throw Error(fmt::format("{} \"deepstack_visual_indexes\" for {} decoder layers",
                            c.vision->deepstack_visual_indexes.size(), c.num_hidden_layers),
                where);
  }
  const auto id = [&](const char* key, int64_t fallback) {
    return in_range(key, json_or<int64_t>(json, key, fallback, where), 0, c.vocab_size - 1, where);
  };
  c.image_tokens = ImageTokens{id("image_token_id", 151655), id("video_token_id", 151656),
                               id("vision_start_token_id", 151652), id("vision_end_token_id", 151653)};
  return c;
}

}  // namespace

ModelConfig parse_config(const Json& json, const std::string& where) {
  if (!json.is_object()) throw Error("is not a JSON object", where);
  const Family& family = family_of(json, where);
  return family.model_type == "qwen3_vl" ? parse_qwen3_vl(json, family, where) : parse_decoder(json, family, where);
}

ModelConfig read_config(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "config.json";
  ModelConfig config = parse_config(read_json(file, {.max_bytes = 4u << 20, .max_depth = 64}), file.string());
  if (!config.quantization) config.quantization = read_older_quantization_config(folder);
  return config;
}

}  // namespace duan::checkpoint
