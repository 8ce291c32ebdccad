#include "inspect/loader_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <initializer_list>

#include "base/error.h"
#include "base/regex.h"

namespace duan::inspect {
namespace {

const std::string kRequantize = "write the checkpoint again with duan quantize or duan convert";

std::string shown(const Json& json, const char* key) {
  return json.is_object() && json.contains(key) ? printable(to_text(json[key]), 60) : "nothing";
}

Json value_of(const Json& json, const char* key) { return json.is_object() && json.contains(key) ? json[key] : Json(); }

bool says_nothing(const Json& value) { return value.is_null() || (value.is_structured() && value.empty()); }

// Strings of a list; whatever else stands in it is left out.
std::vector<std::string> strings_of(const Json& list) {
  std::vector<std::string> strings;
  if (!list.is_array()) return strings;
  for (const Json& item : list) {
    if (item.is_string()) strings.push_back(item.get<std::string>());
  }
  return strings;
}

// "" or the first pattern that is none.
std::string bad_pattern(const std::vector<std::string>& targets) {
  for (const std::string& target : targets) {
    if (!target.starts_with("re:")) continue;
    try {
      Regex(target.substr(3), "");
    } catch (const Error&) {
      return target;
    }
  }
  return "";
}

std::string unknown_key(const Json& json, std::initializer_list<std::string_view> known) {
  if (!json.is_object()) return "";
  for (const auto& item : json.items()) {
    if (std::find(known.begin(), known.end(), item.key()) == known.end()) return item.key();
  }
  return "";
}

class GroupChecks {
 public:
  GroupChecks(const std::string& name, const Json& group, const std::string& format, const LoaderOptions& options,
              LoaderChecks& checks)
      : name_(name),
        group_(group),
        weights_(value_of(group, "weights")),
        packed_(format == "pack-quantized"),
        vllm_(options.loader == Loader::vllm),
        options_(options),
        checks_(checks) {}

  void run(LoaderSchemes& schemes) {
    check_keys();
    scheme_.targets = strings_of(value_of(group_, "targets"));
    const std::string pattern = bad_pattern(scheme_.targets);
    require(!scheme_.targets.empty() && pattern.empty(), "targets", fmt::format("{}", fmt::join(scheme_.targets, ", ")),
            pattern.empty() ? shown(group_, "targets") : pattern, "module names, classes, or re: and a pattern",
            "Linear is the usual target");
    scheme_.packed = packed_;
    check_weights();
    check_inputs();
    if (pattern.empty()) schemes.config.schemes.push_back(scheme_);
  }

 private:
  void require(bool met, const std::string& what, const std::string& good, const std::string& found,
               const std::string& expected, const std::string& advice) {
    checks_.require(met, name_ + " " + what, good, found, expected, advice);
  }

  void check_keys() {
    std::string unknown =
        unknown_key(group_, {"targets", "weights", "input_activations", "output_activations", "format"});
    for (const char* part : {"weights", "input_activations", "output_activations"}) {
      const std::string inner = unknown_key(
          value_of(group_, part), {"num_bits", "type", "symmetric", "group_size", "strategy", "block_structure",
                                   "dynamic", "actorder", "scale_dtype", "zp_dtype", "observer", "observer_kwargs"});
      if (unknown.empty() && !inner.empty()) unknown = fmt::format("{}.{}", part, inner);
    }
    require(unknown.empty(), "keys", "all known", printable(unknown, 60), "no other keys than compressed-tensors' own",
            "remove it: loading fails on it");
  }

  void check_weights() {
    const Json bits = value_of(weights_, "num_bits"), group_size = value_of(weights_, "group_size");
    const int64_t stated = bits.is_number_integer() ? bits.get<int64_t>() : 0;
    scheme_.bits = stated >= 1 && stated <= 8 ? static_cast<int>(stated) : 0;
    const bool bits_fit = packed_ ? scheme_.bits == 4 || scheme_.bits == 8 : scheme_.bits == 8;
    require(bits_fit, "bits", fmt::format("{}", scheme_.bits), shown(weights_, "num_bits"),
            packed_ ? "4 or 8 for pack-quantized" : "8 for int-quantized", kRequantize);
    const Json type = value_of(weights_, "type");
    require(type.is_null() || type == "int", "type of weights", "int", shown(weights_, "type"), "\"int\"", kRequantize);
    const bool grouped = group_size.is_number_integer() && group_size.get<int64_t>() > 0;
    const Json strategy = value_of(weights_, "strategy");
    const std::string is = strategy.is_string() ? strategy.get<std::string>() : grouped ? "group" : "channel";
    const bool strategy_fits = is == "channel" || (packed_ && is == "group" && grouped);
    require(strategy_fits, "strategy", is, fmt::format("{} with group_size {}", is, shown(weights_, "group_size")),
            packed_ ? "\"group\" with a group_size, or \"channel\"" : "\"channel\" for int-quantized", kRequantize);
    scheme_.group_size = is == "group" && grouped ? group_size.get<int64_t>() : 0;
    if (packed_ && vllm_) check_group_size();
    const Json symmetric = value_of(weights_, "symmetric");
    require(symmetric.is_null() || symmetric.is_boolean(), "symmetric", symmetric == false ? "false" : "true",
            shown(weights_, "symmetric"), "true or false", kRequantize);
    scheme_.symmetric = symmetric != false;
    check_symmetry();
    const Json dynamic = value_of(weights_, "dynamic"), order = value_of(weights_, "actorder");
    require(dynamic.is_null() || dynamic == false, "dynamic", "false for weights", shown(weights_, "dynamic"), "false",
            kRequantize);
    require(order.is_null() || order == "weight" || order == "static" || order == false, "actorder",
            order.is_string() ? order.get<std::string>() : "columns in their own order", shown(weights_, "actorder"),
            "null, \"weight\" or \"static\"", "\"group\" needs g_idx, which loaders have dropped; quantize again");
  }

  void check_group_size() {
    const int64_t size = scheme_.group_size;
    const bool fits = options_.cpu ? size % 2 == 0 : size == 0 || size == 32 || size == 64 || size == 128;
    require(fits, "group_size", size == 0 ? "a whole row" : fmt::format("{}", size), fmt::format("{}", size),
            options_.cpu ? "an even number" : "-1, 32, 64 or 128", "quantize with --group-size 128");
  }

  void check_symmetry() {
    const bool with_zeros = !scheme_.symmetric;
    if (!packed_) {
      require(!with_zeros, "zero points", "none", "asymmetric weights", "symmetric for int-quantized", kRequantize);
      return;
    }
    if (vllm_) {
      const std::string found = fmt::format("asymmetric {}-bit weights", scheme_.bits);
      require(!with_zeros || (scheme_.bits == 4 && !options_.cpu), "zero points",
              with_zeros ? "of 4-bit weights" : "none", found,
              options_.cpu ? "symmetric weights: the kernels for processors have no zero points"
                           : "symmetric weights, or 4 bits: the kernel for 8 bits has no zero points",
              "quantize without --asymmetric");
      if (with_zeros && !options_.cpu && scheme_.bits == 4) {
        checks_.note("zero points", "vLLM's kernels for processors and the fast one for RDNA3 want symmetric weights");
      }
    } else if (with_zeros) {
      checks_.note("zero points",
                   "transformers 4.57 with compressed-tensors 0.13 refuses asymmetric weights, and so does "
                   "compressed-tensors 0.20 unless transformers is asked to dequantize; 0.19 loads them");
    }
  }

  void check_inputs() {
    const Json input = value_of(group_, "input_activations"), output = value_of(group_, "output_activations");
    require(says_nothing(output), "output_activations", "none", shown(group_, "output_activations"), "null",
            kRequantize);
    if (packed_) {
      require(input.is_null(), "input_activations", "none", shown(group_, "input_activations"),
              "null for pack-quantized", "rounded inputs belong to int-quantized");
      return;
    }
    const bool embeddings =
        std::find(scheme_.targets.begin(), scheme_.targets.end(), "Embedding") != scheme_.targets.end();
    if (input.is_null() && (embeddings || !vllm_)) {
      require(true, "input_activations", "none", "", "", "");
      return;
    }
    const bool dynamic = value_of(input, "dynamic") == true;
    const Json strategy = value_of(input, "strategy"), bits = value_of(input, "num_bits");
    const bool fits = input.is_object() && bits == 8 && value_of(input, "symmetric") != false &&
                      (strategy.is_null() || strategy == (dynamic ? "token" : "tensor"));
    if (input.is_object()) scheme_.input = dynamic ? InputRounding::dynamic : InputRounding::fixed;
    require(
        fits, "input_activations", dynamic ? "8 bits, dynamic per token" : "8 bits, static per tensor",
        shown(group_, "input_activations"), "8 symmetric bits, static per tensor or dynamic per token",
        input.is_null() ? "8-bit weights alone are pack-quantized: quantize with --method rtn --bits 8" : kRequantize);
  }

  const std::string name_;
  const Json& group_;
  const Json weights_;
  bool packed_, vllm_;
  const LoaderOptions& options_;
  LoaderChecks& checks_;
  checkpoint::QuantizationScheme scheme_;
};

}  // namespace

void LoaderChecks::require(bool met, const std::string& what, const std::string& good, const std::string& found,
                           const std::string& expected, const std::string& advice) {
  if (met) {
    list.push_back({what, Verdict::ok, good, "", ""});
  } else {
    list.push_back({what, Verdict::fail, found.empty() ? "nothing" : found, expected, advice});
  }
}

void LoaderChecks::note(const std::string& what, const std::string& found) {
  list.push_back({what, Verdict::note, found, "", ""});
}

LoaderSchemes check_config(const Json& json, const LoaderOptions& options, LoaderChecks& checks) {
  LoaderSchemes schemes;
  schemes.quantized = !json.is_null();
  if (!schemes.quantized) {
    checks.note("quantization_config", "none: a checkpoint that is not quantized");
    return schemes;
  }
  checks.require(value_of(json, "quant_method") == "compressed-tensors", "quant_method", "compressed-tensors",
                 shown(json, "quant_method"), "\"compressed-tensors\"", kRequantize);
  checks.require(value_of(json, "quantization_status") == "compressed", "quantization_status", "compressed",
                 shown(json, "quantization_status"), "\"compressed\"",
                 "set it: without it transformers loads random weights and says nothing");
  const Json groups = value_of(json, "config_groups");
  checks.require(groups.is_object() && !groups.empty(), "config_groups",
                 fmt::format("{} of them", groups.is_object() ? groups.size() : 0), shown(json, "config_groups"),
                 "an object with a group", kRequantize);
  const auto format_of = [&](const Json& group) {
    const Json own = value_of(group, "format"), all = value_of(json, "format");
    return own.is_string() ? own.get<std::string>() : all.is_string() ? all.get<std::string>() : std::string();
  };
  std::string format, other;
  if (groups.is_object()) {
    for (const auto& item : groups.items()) {
      const std::string its = format_of(item.value());
      if (format.empty()) format = its;
      if (its != format || (its != "pack-quantized" && its != "int-quantized")) other = its.empty() ? "nothing" : its;
    }
  }
  checks.require(!format.empty() && other.empty(), "format", format, printable(other, 60),
                 "\"pack-quantized\" or \"int-quantized\", one for all groups", kRequantize);
  schemes.packed = format == "pack-quantized";
  if (groups.is_object()) {
    for (const auto& item : groups.items()) {
      GroupChecks(printable(item.key(), 40), item.value(), format, options, checks).run(schemes);
    }
  }
  const Json ignore = value_of(json, "ignore");
  schemes.config.ignore = strings_of(ignore);
  const std::string pattern = bad_pattern(schemes.config.ignore);
  const bool list = ignore.is_null() || (ignore.is_array() && schemes.config.ignore.size() == ignore.size());
  checks.require(list && pattern.empty(), "ignore", fmt::format("a list of {}", schemes.config.ignore.size()),
                 pattern.empty() ? shown(json, "ignore") : printable(pattern, 60),
                 "a list of names, classes or patterns", kRequantize);
  if (!pattern.empty()) schemes.config.ignore.clear();
  for (const char* key : {"sparsity_config", "transform_config"}) {
    checks.require(says_nothing(value_of(json, key)), key, "none", shown(json, key), "null", kRequantize);
  }
  schemes.kv_cache = !says_nothing(value_of(json, "kv_cache_scheme"));
  return schemes;
}

}  // namespace duan::inspect
