#include "ort/model_folder.h"

#include "base/error.h"
#include "checkpoint/token_ids.h"
#include "onnx/names.h"

namespace duan::ort {
namespace {
namespace fs = std::filesystem;

constexpr JsonLimits kLimits{.max_bytes = 4u << 20, .max_depth = 64};
constexpr const char* kGenAiConfig = "genai_config.json";
constexpr int64_t kMaxContext = int64_t{1} << 40;
constexpr std::string_view kLayer = "%d";

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

const Json& object_at(const Json& json, const char* key, const std::string& where) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_object()) throw Error(fmt::format("\"{}\" is not an object", key), where);
  return *found;
}

int64_t size_at(const Json& json, const char* key, int64_t most, const std::string& where) {
  const auto value = json_at<int64_t>(json, key, where);
  if (value < 1 || value > most) throw Error(fmt::format("\"{}\" is {}, expected 1 to {}", key, value, most), where);
  return value;
}

// The name a graph's value has, if the section gives it one.
void read_name(const Json& section, const char* key, std::string& name, const std::string& where) {
  name = json_or<std::string>(section, key, name, where);
  if (name.empty()) throw Error(fmt::format("\"{}\" is empty", key), where);
}

void read_pattern(const Json& section, const char* key, std::string& pattern, const std::string& where) {
  read_name(section, key, pattern, where);
  const size_t at = pattern.find('%');
  if (at == pattern.npos || pattern.compare(at, kLayer.size(), kLayer) != 0 ||
      pattern.find('%', at + 1) != pattern.npos) {
    throw Error(fmt::format("\"{}\" is \"{}\", expected a name with %d for the layer", key, printable(pattern)), where);
  }
}

ModelFolder from_genai_config(const fs::path& folder) {
  const std::string where = (folder / kGenAiConfig).string();
  const Json json = read_json(folder / kGenAiConfig, kLimits);
  if (!json.is_object()) throw Error("is not a JSON object", where);
  const Json& model = object_at(json, "model", where);
  const Json& decoder = object_at(model, "decoder", where);

  ModelFolder result;
  result.folder = folder;
  const auto file = json_at<std::string>(decoder, "filename", where);
  if (file.empty() || file == "." || file == ".." || file.find_first_of(std::string_view("/\\\0", 3)) != file.npos) {
    throw Error(fmt::format("\"filename\" is \"{}\", expected the name of a file beside it", printable(file)), where);
  }
  result.file = folder / file;
  result.vocab_size = size_at(model, "vocab_size", checkpoint::kMaxTokenId, where);
  result.context = size_at(model, "context_length", kMaxContext, where);
  const auto size_if_there = [&](const char* key) -> std::optional<int64_t> {
    if (!decoder.contains(key)) return std::nullopt;
    return size_at(decoder, key, int64_t{1} << 20, where);
  };
  result.kv_heads = size_if_there("num_key_value_heads");
  result.head_dim = size_if_there("head_size");

  const Json& inputs = object_at(decoder, "inputs", where);
  read_name(inputs, "input_ids", result.names.input_ids, where);
  read_name(inputs, "attention_mask", result.names.attention_mask, where);
  read_name(inputs, "position_ids", result.names.position_ids, where);
  read_pattern(inputs, "past_key_names", result.names.past_key, where);
  read_pattern(inputs, "past_value_names", result.names.past_value, where);
  const Json& outputs = object_at(decoder, "outputs", where);
  read_name(outputs, "logits", result.names.logits, where);
  read_pattern(outputs, "present_key_names", result.names.present_key, where);
  read_pattern(outputs, "present_value_names", result.names.present_value, where);
  return result;
}

ImageGraphs image_graphs(const fs::path& folder, const checkpoint::ModelConfig& config) {
  if (!config.vision) {
    throw Error(fmt::format("has no vision tower, {} beside it is of a model that has one", onnx::kDecoderFile),
                (folder / "config.json").string());
  }
  ImageGraphs graphs{folder / onnx::kEmbeddingFile, folder / onnx::kTowerFile, *config.vision};
  for (const fs::path& file : {graphs.embedding, graphs.tower}) {
    if (is_there(file)) continue;
    throw Error(fmt::format("is not there, which {} needs", onnx::kDecoderFile), file.string(),
                "duan export MODEL -o DIR writes them all");
  }
  return graphs;
}

}  // namespace

std::string layer_name(const std::string& pattern, int64_t layer) {
  const size_t at = pattern.find(kLayer);
  return pattern.substr(0, at) + std::to_string(layer) + pattern.substr(at + kLayer.size());
}

bool holds_onnx_model(const fs::path& folder) {
  return is_there(folder / kGenAiConfig) || is_there(folder / onnx::kModelFile) ||
         is_there(folder / onnx::kDecoderFile);
}

ModelFolder ModelFolder::open(const fs::path& folder) {
  if (is_there(folder / kGenAiConfig)) return from_genai_config(folder);
  const bool sees_images = is_there(folder / onnx::kDecoderFile);
  if (!sees_images && !is_there(folder / onnx::kModelFile)) {
    throw Error("holds no ONNX model: neither genai_config.json nor model.onnx", folder.string(),
                "duan export MODEL -o DIR makes one");
  }
  const checkpoint::ModelConfig config = checkpoint::read_config(folder);
  ModelFolder result;
  result.folder = folder;
  result.file = folder / (sees_images ? onnx::kDecoderFile : onnx::kModelFile);
  if (sees_images) result.images = image_graphs(folder, config);
  result.vocab_size = config.vocab_size;
  result.context = config.max_position_embeddings;
  result.kv_heads = config.num_key_value_heads;
  result.head_dim = config.head_dim;
  return result;
}

checkpoint::GenerationConfig read_generation_config(const fs::path& folder) {
  if (!is_there(folder / kGenAiConfig) || is_there(folder / "generation_config.json") ||
      is_there(folder / "config.json")) {
    return checkpoint::read_generation_config(folder);
  }
  const std::string where = (folder / kGenAiConfig).string();
  const Json json = read_json(folder / kGenAiConfig, kLimits);
  if (!json.is_object()) throw Error("is not a JSON object", where);
  // The same keys, in two sections.
  Json advice = json.contains("search") ? object_at(json, "search", where) : Json::object();
  const Json& model = object_at(json, "model", where);
  for (const char* key : {"eos_token_id", "pad_token_id"}) {
    if (model.contains(key)) advice[key] = model[key];
  }
  return checkpoint::parse_generation_config(advice, where);
}

}  // namespace duan::ort
