#include "quant/quantized_checkpoint.h"

#include <algorithm>

#include "base/atomic_file.h"
#include "base/error.h"

namespace duan::quant {
namespace {

using checkpoint::ByteSink;
using checkpoint::TensorSpec;

constexpr size_t kPiece = size_t{4} << 20;

Json weight_args(const Recipe& recipe) {
  const bool grouped = recipe.packed() && recipe.weights.group_size > 0;
  const WeightObserver observer = recipe.weights.observer;
  return {{"num_bits", recipe.weights.bits},
          {"type", "int"},
          {"symmetric", recipe.weights.symmetric},
          {"strategy", grouped ? "group" : "channel"},
          {"group_size", grouped ? Json(recipe.weights.group_size) : Json()},
          {"block_structure", nullptr},
          {"dynamic", false},
          {"actorder", nullptr},
          {"observer", observer == WeightObserver::imatrix ? "imatrix_mse" : weight_observer_name(observer)},
          {"observer_kwargs", Json::object()}};
}

Json input_args(const Recipe& recipe) {
  if (!recipe.rounds_inputs()) return nullptr;
  const bool dynamic = recipe.method == Method::int8_dynamic;
  return {{"num_bits", 8},
          {"type", "int"},
          {"symmetric", true},
          {"strategy", dynamic ? "token" : "tensor"},
          {"group_size", nullptr},
          {"block_structure", nullptr},
          {"dynamic", dynamic},
          {"actorder", nullptr},
          {"observer", dynamic ? Json() : Json("minmax")},
          {"observer_kwargs", Json::object()}};
}

// Where the value of a key of the outermost object begins and ends, in a text that is known to be one; npos if the key
// is written otherwise, with escapes.
std::pair<size_t, size_t> value_of_key(const std::string& text, std::string_view key) {
  std::string last;  // the last string of the outermost object
  size_t begin = std::string::npos;
  int depth = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (depth == 1 && begin != std::string::npos && (c == ',' || c == '}')) {
      return {begin, text.find_last_not_of(" \t\r\n", at - 1) + 1};
    }
    if (c == '"') {
      const size_t from = at + 1;
      for (++at; text[at] != '"'; ++at) at += text[at] == '\\' ? 1 : 0;
      if (depth == 1) last = text.substr(from, at - from);
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      --depth;
    } else if (c == ':' && depth == 1 && last == key) {
      begin = text.find_first_not_of(" \t\r\n", at + 1);
      at = begin - 1;
    }
  }
  return {std::string::npos, std::string::npos};
}

}  // namespace

uint64_t bytes_of(const TensorSpec& tensor) {
  return static_cast<uint64_t>(*element_count(tensor.shape)) * dtype_size(tensor.dtype);
}

std::vector<TensorSpec> module_tensors(const Module& module, const Recipe& recipe) {
  const int64_t rows = module.shape[0], columns = module.shape[1];
  const std::string& name = module.name;
  std::vector<TensorSpec> specs;
  if (recipe.packed()) {
    const int64_t bits = recipe.weights.bits, groups = recipe.weights.groups(columns);
    specs.push_back({name + ".weight_packed", DType::i32, {rows, columns * bits / 32}});
    specs.push_back({name + ".weight_scale", module.dtype, {rows, groups}});
    if (!recipe.weights.symmetric) {
      specs.push_back({name + ".weight_zero_point", DType::i32, {(rows * bits + 31) / 32, groups}});
    }
    specs.push_back({name + ".weight_shape", DType::i64, {2}});
    return specs;
  }
  specs.push_back({name + ".weight", DType::i8, {rows, columns}});
  specs.push_back({name + ".weight_scale", module.dtype, {rows, 1}});
  const std::string reader = module.tied() ? kHead : name;
  if (module.tied()) specs.push_back({reader + ".weight_scale", module.dtype, {rows, 1}});
  if (module.linear && recipe.method == Method::int8_static) {
    specs.push_back({reader + ".input_scale", module.dtype, {1}});
  }
  return specs;
}

std::vector<std::string> matrices_of(const ir::Graph& tower) {
  std::vector<std::string> names;
  for (const ir::WeightInfo& weight : tower.weights) {
    if (weight.shape.size() < 2) continue;
    names.push_back(weight.name.substr(0, weight.name.size() - std::string_view(".weight").size()));
  }
  return names;
}

Json quantization_config(const std::vector<Module>& modules, const Recipe& recipe,
                         const std::vector<std::string>& untouched) {
  const std::string format = recipe.packed() ? "pack-quantized" : "int-quantized";
  const auto quantized = [&](bool embedding) {
    return std::any_of(modules.begin(), modules.end(), [&](const Module& m) {
      return m.kept.empty() && (embedding ? m.embedding : m.linear.has_value());
    });
  };
  const auto group = [&](const char* target, Json input) -> Json {
    return {{"targets", Json::array({target})},
            {"weights", weight_args(recipe)},
            {"input_activations", std::move(input)},
            {"output_activations", nullptr},
            {"format", format}};
  };
  Json groups = Json::object();
  if (quantized(false)) groups["group_0"] = group("Linear", input_args(recipe));
  if (quantized(true)) groups["group_1"] = group("Embedding", nullptr);
  Json ignore = Json::array();
  for (const Module& module : modules) {
    if (!module.kept.empty() && module.linear) ignore.push_back(module.tied() ? kHead : module.name);
  }
  for (const std::string& name : untouched) ignore.push_back(name);
  return {{"quant_method", "compressed-tensors"}, {"format", format},
          {"quantization_status", "compressed"},  {"config_groups", std::move(groups)},
          {"ignore", std::move(ignore)},          {"kv_cache_scheme", nullptr},
          {"global_compression_ratio", nullptr}};
}

std::string with_quantization_config(const std::string& config, const Json& quantization_config,
                                     const std::string& where) {
  Json expected = parse_json(config, where);
  if (!expected.is_object()) throw Error("is not a JSON object", where);
  const bool has_key = expected.contains("quantization_config");  // null: the source is not quantized
  const bool is_empty = expected.empty();
  expected["quantization_config"] = quantization_config;
  std::string value = to_text(quantization_config, 2);
  for (size_t at = value.find('\n'); at != std::string::npos; at = value.find('\n', at + 3)) value.insert(at + 1, "  ");
  if (has_key) {
    const auto [begin, end] = value_of_key(config, "quantization_config");
    if (begin == std::string::npos) return to_text(expected, 2) + "\n";
    std::string text = config.substr(0, begin) + value + config.substr(end);
    DUAN_CHECK(parse_json(text, where) == expected, "{} changed more than one key", where);
    return text;
  }

  const size_t brace = config.rfind('}');
  const size_t end = brace == 0 ? std::string::npos : config.find_last_not_of(" \t\r\n", brace - 1);
  DUAN_CHECK(brace != std::string::npos && end != std::string::npos, "no object in {}", where);
  std::string text = config.substr(0, end + 1) + (is_empty ? "" : ",") + "\n  \"quantization_config\": " + value +
                     "\n" + config.substr(brace);
  DUAN_CHECK(parse_json(text, where) == expected, "{} changed more than one key", where);
  return text;
}

std::function<void(const ByteSink&)> copy_of(const checkpoint::TensorView& view,
                                             std::function<void(std::span<const std::byte>)> release) {
  return [bytes = std::span(view.data, view.bytes), release = std::move(release)](const ByteSink& sink) {
    for (size_t at = 0; at < bytes.size(); at += kPiece) {
      const auto piece = bytes.subspan(at, std::min(kPiece, bytes.size() - at));
      sink(piece);
      release(piece);
    }
  };
}

std::vector<OutputFile> write_shards(const std::filesystem::path& folder, const std::vector<OutputTensor>& tensors,
                                     uint64_t max_bytes, const std::function<void(uint64_t bytes)>& progress) {
  std::vector<std::vector<size_t>> shards(1);
  uint64_t in_shard = 0, total = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const uint64_t bytes = bytes_of(tensors[i].spec);
    if (!shards.back().empty() && in_shard + bytes > max_bytes) {
      shards.emplace_back();
      in_shard = 0;
    }
    shards.back().push_back(i);
    in_shard += bytes;
    total += bytes;
  }

  std::vector<OutputFile> files;
  uint64_t done = 0;
  Json map = Json::object();
  for (size_t s = 0; s < shards.size(); ++s) {
    const std::string name = shards.size() == 1 ? "model.safetensors"
                                                : fmt::format("model-{:05}-of-{:05}.safetensors", s + 1, shards.size());
    std::vector<TensorSpec> specs;
    for (const size_t i : shards[s]) {
      specs.push_back(tensors[i].spec);
      map[tensors[i].spec.name] = name;
    }
    checkpoint::write_safetensors(folder / name, specs,
                                  [&](size_t index, const ByteSink& sink) {
                                    tensors[shards[s][index]].write([&](std::span<const std::byte> bytes) {
                                      sink(bytes);
                                      progress(done += bytes.size());
                                    });
                                  },
                                  {{"format", "pt"}});
    files.push_back({name, std::filesystem::file_size(folder / name)});
  }
  if (shards.size() > 1) {
    const std::string text = to_text({{"metadata", {{"total_size", total}}}, {"weight_map", std::move(map)}}, 2) + "\n";
    write_file_atomically(folder / "model.safetensors.index.json", text);
    files.push_back({"model.safetensors.index.json", text.size()});
  }
  return files;
}

}  // namespace duan::quant
