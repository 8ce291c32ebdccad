#include "checkpoint/awq_gptq_config.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <span>

#include "base/error.h"
#include "base/log.h"

namespace duan::checkpoint {
namespace {

constexpr int64_t kMaxGroupSize = 1 << 20;

// How a checkpoint was made, or what one tool does with it; nothing that changes what the tensors mean.
constexpr std::array kHarmless = std::to_array<std::string_view>({"_name_or_path",
                                                                  "act_group_aware",
                                                                  "backend",
                                                                  "batch_size",
                                                                  "block_name_to_quantize",
                                                                  "cache_block_outputs",
                                                                  "damp_auto_increment",
                                                                  "damp_percent",
                                                                  "dataset",
                                                                  "disable_exllama",
                                                                  "do_fuse",
                                                                  "exllama_config",
                                                                  "fuse_max_seq_len",
                                                                  "max_input_length",
                                                                  "meta",
                                                                  "model_file_base_name",
                                                                  "model_name_or_path",
                                                                  "model_seqlen",
                                                                  "module_name_preceding_first_block",
                                                                  "modules_in_block_to_quantize",
                                                                  "modules_to_fuse",
                                                                  "mse",
                                                                  "pad_token_id",
                                                                  "static_groups",
                                                                  "tokenizer",
                                                                  "true_sequential",
                                                                  "use_cuda_fp16",
                                                                  "use_exllama"});

bool says_nothing(const Json& value) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>()) || (value.is_structured() && value.empty());
}

[[noreturn]] void refuse(const std::string& key, const Json& value, const std::string& expected,
                         const std::string& where) {
  throw Error(
      fmt::format("\"quantization_config\": \"{}\" is {}, expected {}", key, printable(to_text(value), 60), expected),
      where);
}

void warn_of_unknown(const Json& json, std::span<const std::string_view> read, const std::string& where) {
  for (const auto& item : json.items()) {
    const auto is_key = [&](std::string_view key) { return key == item.key(); };
    if (std::any_of(read.begin(), read.end(), is_key) || std::any_of(kHarmless.begin(), kHarmless.end(), is_key) ||
        says_nothing(item.value())) {
      continue;
    }
    warn("{}: \"quantization_config\": unknown key \"{}\": {} is ignored", where, printable(item.key(), 60),
         printable(to_text(item.value()), 60));
  }
}

// The key by its present name or an older one. Throws Error if neither is there.
int64_t integer_at(const Json& json, const char* key, const char* older, const std::string& where) {
  return json.contains(key) ? json_at<int64_t>(json, key, where)
         : older != nullptr && json.contains(older)
             ? json_at<int64_t>(json, older, where)
             : throw Error(fmt::format("\"quantization_config\": \"{}\" is missing", key), where);
}

QuantizationScheme scheme_in_groups(int64_t bits, int64_t group_size, bool symmetric, const std::string& where) {
  if (group_size != -1 && (group_size < 1 || group_size > kMaxGroupSize)) {
    throw Error(fmt::format("\"quantization_config\": \"group_size\" is {}, expected 1 to {}, or -1 for a whole row",
                            group_size, kMaxGroupSize),
                where);
  }
  return {.targets = {"Linear"},
          .bits = static_cast<int>(bits),
          .symmetric = symmetric,
          .group_size = std::max<int64_t>(group_size, 0),
          .packed = true};
}

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

// Module names. Which modules are plain, their tensors say; here it only has to be a list.
std::vector<std::string> names_at(const Json& json, const char* key, const std::string& where) {
  std::vector<std::string> names;
  if (!json.contains(key) || json[key].is_null()) return names;
  if (!json[key].is_array()) refuse(key, json[key], "a list of names", where);
  for (const Json& name : json[key]) {
    if (!name.is_string()) refuse(key, name, "a string", where);
    names.push_back(name.get<std::string>());
  }
  return names;
}

// GPTQModel's exceptions by pattern: "-:pattern" leaves modules alone; another may change bits or groups.
void check_exceptions(const Json& json, const std::string& where) {
  if (!json.contains("dynamic") || says_nothing(json["dynamic"])) return;
  if (!json["dynamic"].is_object()) refuse("dynamic", json["dynamic"], "an object", where);
  for (const auto& item : json["dynamic"].items()) {
    if (item.key().starts_with("-:")) continue;
    if (!item.value().is_object()) refuse("dynamic", item.value(), "objects", where);
    for (const char* key : {"bits", "group_size", "sym", "desc_act"}) {
      if (!item.value().contains(key) || (json.contains(key) && item.value()[key] == json[key])) continue;
      throw Error(fmt::format("\"quantization_config\": \"dynamic\" gives the modules \"{}\" another \"{}\", which is "
                              "not supported",
                              printable(item.key(), 60), key),
                  where);
    }
  }
}

}  // namespace

QuantizationConfig parse_awq_config(const Json& json, const std::string& where) {
  warn_of_unknown(
      json,
      std::to_array<std::string_view>({"quant_method", "bits", "w_bit", "group_size", "q_group_size", "zero_point",
                                       "version", "modules_to_not_convert", "checkpoint_format", "format", "sym",
                                       "desc_act", "pack_dtype", "lm_head"}),
      where);
  const int64_t bits = integer_at(json, "bits", "w_bit", where);
  if (bits != 4) refuse(json.contains("bits") ? "bits" : "w_bit", bits, "4 with AutoAWQ", where);
  for (const char* key : {"version", "checkpoint_format", "format"}) {  // AutoAWQ's name of it, GPTQModel's
    if (lower_case(json_or<std::string>(json, key, "gemm", where)) == "gemm") continue;
    refuse(key, json[key], "\"gemm\"; other versions order the codes otherwise", where);
  }
  const bool zero_point = json_or<bool>(json, "zero_point", true, where);
  QuantizationConfig config;
  config.storage = WeightStorage::awq;
  config.schemes.push_back(
      scheme_in_groups(bits, integer_at(json, "group_size", "q_group_size", where), !zero_point, where));
  config.ignore = names_at(json, "modules_to_not_convert", where);
  return config;
}

QuantizationConfig parse_gptq_config(const Json& json, const std::string& where) {
  warn_of_unknown(
      json,
      std::to_array<std::string_view>({"quant_method", "bits", "group_size", "sym", "desc_act", "checkpoint_format",
                                       "format", "pack_dtype", "dynamic", "lm_head", "is_marlin_format"}),
      where);
  const int64_t bits = integer_at(json, "bits", nullptr, where);
  if (bits != 4 && bits != 8) refuse("bits", bits, "4 or 8 with GPTQ", where);
  const char* format_key = json.contains("checkpoint_format") ? "checkpoint_format" : "format";
  const auto format = json_or<std::string>(json, format_key, "gptq", where);
  if (format != "gptq" && format != "gptq_v2") refuse(format_key, json[format_key], "\"gptq\" or \"gptq_v2\"", where);
  if (json_or<bool>(json, "is_marlin_format", false, where)) {
    refuse("is_marlin_format", true, "false: codes in the order that one kernel wants are not read", where);
  }
  const auto pack_dtype = json_or<std::string>(json, "pack_dtype", "int32", where);
  if (pack_dtype != "int32") refuse("pack_dtype", json["pack_dtype"], "\"int32\"", where);
  check_exceptions(json, where);
  QuantizationConfig config;
  config.storage = format == "gptq" ? WeightStorage::gptq : WeightStorage::gptq_v2;
  config.desc_act = json_or<bool>(json, "desc_act", false, where);
  config.schemes.push_back(scheme_in_groups(bits, integer_at(json, "group_size", nullptr, where),
                                            json_or<bool>(json, "sym", true, where), where));
  return config;
}

std::optional<QuantizationConfig> read_older_quantization_config(const std::filesystem::path& folder) {
  std::error_code ignored;
  for (const char* name : {"quant_config.json", "quantize_config.json"}) {
    const std::filesystem::path file = folder / name;
    if (!std::filesystem::exists(file, ignored)) continue;
    const std::string where = file.string();
    const Json json = read_json(file, {.max_bytes = 1u << 20, .max_depth = 16});
    if (!json.is_object()) throw Error("is not a JSON object", where);
    // AutoAWQ's file does not name its method; its keys do.
    const std::string method = json.contains("w_bit") ? "awq" : "gptq";
    const auto stated = json_or<std::string>(json, "quant_method", method, where);
    if (stated == "awq") return parse_awq_config(json, where);
    if (stated == "gptq") return parse_gptq_config(json, where);
    throw Error(
        fmt::format("\"quant_method\" \"{}\" is not supported, expected \"awq\" or \"gptq\"", printable(stated, 60)),
        where);
  }
  return std::nullopt;
}

}  // namespace duan::checkpoint
