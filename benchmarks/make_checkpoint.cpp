// Writes a checkpoint folder with random weights: the sizes of a real model without its download, for measurements of
// speed and memory. Matrices are N(0, 0.02), norms 1 +- 0.05, all bf16; with --quantize, matrices are random codes in
// the layout of compressed-tensors instead. The same arguments give the same bytes.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "base/json.h"
#include "checkpoint/config.h"
#include "checkpoint/writer.h"
#include "models/registry.h"

using namespace duan;
using namespace duan::checkpoint;

namespace {

struct Sizes {
  std::string name;
  int64_t hidden = 0, intermediate = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0, vocab = 0, positions = 0;
  double rope_theta = 0;
};

struct VisionSizes {
  std::string name;
  int64_t depth, hidden, intermediate, heads;
  std::vector<int64_t> deepstack;
};

const std::vector<VisionSizes> kTowers = {
    {"qwen3-vl-2b", 24, 1024, 4096, 16, {5, 11, 17}},
    {"qwen3-vl-4b", 24, 1024, 4096, 16, {5, 11, 17}},
    {"qwen3-vl-8b", 27, 1152, 4304, 16, {8, 16, 24}},
};

// The published shapes; all are tied but qwen3-vl-8b. 4b is the 2507 release.
const std::array kModels = std::to_array<Sizes>({
    {"qwen3-0.6b", 1024, 3072, 28, 16, 8, 128, 151936, 40960, 1e6},
    {"qwen3-1.7b", 2048, 6144, 28, 16, 8, 128, 151936, 40960, 1e6},
    {"qwen3-4b", 2560, 9728, 36, 32, 8, 128, 151936, 262144, 5e6},
    {"qwen3-vl-2b", 2048, 6144, 28, 16, 8, 128, 151936, 262144, 5e6},
    {"qwen3-vl-4b", 2560, 9728, 36, 32, 8, 128, 151936, 262144, 5e6},
    {"qwen3-vl-8b", 4096, 12288, 36, 32, 8, 128, 151936, 262144, 5e6},
});

Json config_of(const Sizes& s, const std::string& model_type, bool tied) {
  const int64_t end = std::min<int64_t>(151645, s.vocab - 1), begin = std::min<int64_t>(151643, s.vocab - 1);
  return {{"architectures",
           {model_type == "qwen3"   ? "Qwen3ForCausalLM"
            : model_type == "qwen2" ? "Qwen2ForCausalLM"
                                    : "LlamaForCausalLM"}},
          {"bos_token_id", begin},
          {"eos_token_id", end},
          {"head_dim", s.head_dim},
          {"hidden_act", "silu"},
          {"hidden_size", s.hidden},
          {"intermediate_size", s.intermediate},
          {"max_position_embeddings", s.positions},
          {"model_type", model_type},
          {"num_attention_heads", s.heads},
          {"num_hidden_layers", s.layers},
          {"num_key_value_heads", s.kv_heads},
          {"rms_norm_eps", 1e-6},
          {"rope_scaling", nullptr},
          {"rope_theta", s.rope_theta},
          {"tie_word_embeddings", tied},
          {"torch_dtype", "bfloat16"},
          {"vocab_size", s.vocab}};
}

// The same for a decoder that sees images: its keys one level down, beside the tower's.
Json with_tower(Json text, const VisionSizes& v, bool tied) {
  const Json mrope = {{"mrope_interleaved", true}, {"mrope_section", {24, 20, 20}}, {"rope_type", "default"}};
  text["model_type"] = "qwen3_vl_text";
  text["rope_scaling"] = mrope;
  text["dtype"] = "bfloat16";
  for (const char* key : {"architectures", "torch_dtype"}) text.erase(key);
  const Json tower = {{"deepstack_visual_indexes", v.deepstack},
                      {"depth", v.depth},
                      {"hidden_act", "gelu_pytorch_tanh"},
                      {"hidden_size", v.hidden},
                      {"in_channels", 3},
                      {"intermediate_size", v.intermediate},
                      {"model_type", "qwen3_vl"},
                      {"num_heads", v.heads},
                      {"num_position_embeddings", 2304},
                      {"out_hidden_size", text["hidden_size"]},
                      {"patch_size", 16},
                      {"spatial_merge_size", 2},
                      {"temporal_patch_size", 2}};
  return {{"architectures", {"Qwen3VLForConditionalGeneration"}},
          {"image_token_id", 151655},
          {"model_type", "qwen3_vl"},
          {"text_config", text},
          {"tie_word_embeddings", tied},
          {"video_token_id", 151656},
          {"vision_config", tower},
          {"vision_end_token_id", 151653},
          {"vision_start_token_id", 151652}};
}

Json generation_config_of(const Json& config) {
  return {{"bos_token_id", config["bos_token_id"]},
          {"do_sample", true},
          {"eos_token_id", {config["eos_token_id"], config["bos_token_id"]}},
          {"pad_token_id", config["bos_token_id"]},
          {"temperature", 0.6},
          {"top_k", 20},
          {"top_p", 0.95}};
}

std::vector<TensorSpec> tensors_of(const ModelConfig& config) {
  std::vector<TensorSpec> out;
  const auto add = [&](const ir::Graph& graph) {
    for (const ir::WeightInfo& weight : graph.weights) out.push_back({weight.name, DType::bf16, weight.shape});
  };
  add(models::build_graph(config));
  if (const auto tower = models::build_vision_graph(config)) add(*tower);
  return out;
}

constexpr int64_t kGroup = 128;  // columns that share a scale with int4

bool is_matrix(const TensorSpec& tensor) { return tensor.shape.size() == 2; }

// int8: one scale a row, for every matrix. int4: symmetric groups, for every matrix but the embedding and the head.
std::vector<TensorSpec> quantized_tensors(const std::vector<TensorSpec>& tensors, const std::string& form, bool tied) {
  std::vector<TensorSpec> out;
  const auto input = [&](const std::string& module) {
    out.push_back({module + ".input_scale", DType::bf16, {1}});
    out.push_back({module + ".input_zero_point", DType::i8, {1}});
  };
  for (const TensorSpec& tensor : tensors) {
    const bool embedding = tensor.name.find("embed_tokens") != std::string::npos;
    const bool int4 = form == "int4";
    if (!is_matrix(tensor) || (int4 && (embedding || tensor.name.starts_with("lm_head")))) {
      out.push_back(tensor);
      continue;
    }
    const std::string module = tensor.name.substr(0, tensor.name.rfind('.'));
    const int64_t rows = tensor.shape[0], columns = tensor.shape[1];
    if (int4) {
      if (columns % kGroup != 0) throw Error(fmt::format("rows of {} are no whole groups of {}", columns, kGroup));
      out.push_back({module + ".weight_packed", DType::i32, {rows, columns / 8}});
      out.push_back({module + ".weight_scale", DType::bf16, {rows, columns / kGroup}});
      out.push_back({module + ".weight_shape", DType::i64, {2}});
      continue;
    }
    out.push_back({tensor.name, DType::i8, tensor.shape});
    out.push_back({module + ".weight_scale", DType::bf16, {rows, 1}});
    if (form == "int8-static" && (!embedding || tied)) input(embedding ? "lm_head" : module);
  }
  return out;
}

Json quantization_config_of(const std::string& form) {
  const auto scheme = [&](const char* target, const Json& input) -> Json {
    Json weights = {{"num_bits", form == "int4" ? 4 : 8}, {"symmetric", true}, {"type", "int"}};
    weights["strategy"] = form == "int4" ? "group" : "channel";
    if (form == "int4") weights["group_size"] = kGroup;
    return {{"targets", {target}}, {"weights", weights}, {"input_activations", input}};
  };
  const Json dynamic = {
      {"num_bits", 8}, {"type", "int"}, {"symmetric", true}, {"strategy", "token"}, {"dynamic", true}};
  const Json fixed = {{"num_bits", 8}, {"type", "int"}, {"symmetric", false}, {"strategy", "tensor"}};
  const Json input = form == "int8-dynamic" ? dynamic : form == "int8-static" ? fixed : Json();
  Json config = {
      {"quant_method", "compressed-tensors"}, {"quantization_status", "compressed"}, {"ignore", Json::array()}};
  config["format"] = form == "int4" ? "pack-quantized" : "int-quantized";
  config["config_groups"]["group_0"] = scheme("Linear", input);
  if (form == "int4") {
    config["ignore"].push_back("lm_head");
  } else {
    config["config_groups"]["group_1"] = scheme("Embedding", Json());
  }
  return config;
}

// The elements of a tensor that is not random: the shape of packed codes, which stand two places before it, or what
// describes a rounded input. Empty for the others.
std::vector<int64_t> constant(const std::vector<TensorSpec>& tensors, size_t index) {
  const std::string& name = tensors[index].name;
  if (name.ends_with(".weight_shape")) return {tensors[index - 2].shape[0], tensors[index - 2].shape[1] * 8};
  if (name.ends_with(".input_scale")) return {float_to_bf16(0.05f)};
  if (name.ends_with(".input_zero_point")) return {3};
  return {};
}

// The number i of a stream: splitmix64, so that any part of a tensor can be made by any thread.
uint64_t random_bits(uint64_t seed, uint64_t i) {
  uint64_t z = seed + (i + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

// 65,536 quantiles of the normal distribution in bf16: one look-up per weight instead of a logarithm and a cosine.
std::vector<uint16_t> normal_table(double mean, double deviation) {
  std::vector<uint16_t> table(1 << 16);
  double x = -4.5;  // below the first quantile
  for (size_t i = 0; i < table.size(); ++i) {
    const double p = (static_cast<double>(i) + 0.5) / static_cast<double>(table.size());
    for (int step = 0; step < 50; ++step) {  // Newton on the distribution function
      const double error = 0.5 * std::erfc(-x / std::sqrt(2.0)) - p;
      const double slope = std::exp(-x * x / 2) / std::sqrt(2 * 3.141592653589793);
      const double move = std::clamp(error / slope, -0.5, 0.5);
      x -= move;
      if (std::abs(move) < 1e-9) break;
    }
    table[i] = float_to_bf16(static_cast<float>(mean + deviation * x));
  }
  return table;
}

void fill(const std::vector<uint16_t>& table, uint64_t seed, int64_t first, int64_t last, uint16_t* out) {
  for (int64_t i = first; i < last; i += 4) {  // first is a multiple of 4
    uint64_t bits = random_bits(seed, static_cast<uint64_t>(i / 4));
    for (int64_t j = i; j < std::min(i + 4, last); ++j, bits >>= 16) out[j - first] = table[bits & 0xFFFF];
  }
}

bool is_norm(const std::string& name) {
  return name.ends_with("norm.weight") || name.ends_with("norm1.weight") || name.ends_with("norm2.weight");
}

void write_weights(const std::filesystem::path& file, const std::vector<TensorSpec>& tensors, uint64_t seed,
                   int threads) {
  const std::vector<uint16_t> normal = normal_table(0, 0.02), around_one = normal_table(1, 0.05);
  // So that code times scale has the deviation of the other weights.
  const std::vector<uint16_t> channel_scales = normal_table(2.7e-4, 1e-5), group_scales = normal_table(4.3e-3, 2e-4);
  std::vector<uint16_t> codes(1 << 16);
  std::iota(codes.begin(), codes.end(), uint16_t{0});
  constexpr int64_t kPiece = 4 << 20;  // pairs of bytes a thread makes at a time
  std::vector<std::vector<uint16_t>> pieces(static_cast<size_t>(threads), std::vector<uint16_t>(kPiece));
  double written = 0;
  const bool to_terminal = ::isatty(STDERR_FILENO) != 0;
  const auto source = [&](size_t index, const ByteSink& sink) {
    const TensorSpec& tensor = tensors[index];
    if (const std::vector<int64_t> values = constant(tensors, index); !values.empty()) {
      for (const int64_t value : values) sink(std::as_bytes(std::span(&value, 1)).first(dtype_size(tensor.dtype)));
      return;
    }
    const bool scales = tensor.name.ends_with(".weight_scale");
    const std::vector<uint16_t>& table = !is_float(tensor.dtype)          ? codes
                                         : scales && tensor.shape[1] == 1 ? channel_scales
                                         : scales                         ? group_scales
                                         : is_norm(tensor.name)           ? around_one
                                                                          : normal;
    const int64_t count = *element_count(tensor.shape) * static_cast<int64_t>(dtype_size(tensor.dtype)) / 2;
    const uint64_t stream = random_bits(seed, index);
    for (int64_t first = 0; first < count; first += kPiece * threads) {
      std::vector<std::jthread> workers;
      for (int t = 0; t < threads; ++t) {
        const int64_t from = std::min(first + t * kPiece, count), to = std::min(from + kPiece, count);
        if (from < to)
          workers.emplace_back(
              [&, t, from, to] { fill(table, stream, from, to, pieces[static_cast<size_t>(t)].data()); });
      }
      workers.clear();  // joins
      for (int t = 0; t < threads; ++t) {
        const int64_t from = std::min(first + t * kPiece, count), to = std::min(from + kPiece, count);
        sink(std::as_bytes(std::span(pieces[static_cast<size_t>(t)]).first(static_cast<size_t>(to - from))));
        written += 2 * static_cast<double>(to - from);
      }
    }
    if (!to_terminal) return;
    fmt::print(stderr, "\r{}: {} of {} tensors, {:.2f} GB", file.string(), index + 1, tensors.size(), written / 1e9);
  };
  write_safetensors(file, tensors, source, {{"format", "pt"}});
  if (to_terminal) fmt::print(stderr, "\n");
}

// Everything a tokenizer may consist of, where it exists.
void copy_tokenizer(const std::filesystem::path& from, const std::filesystem::path& to) {
  int copied = 0;
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt", "chat_template.jinja",
                           "chat_template.json", "special_tokens_map.json", "added_tokens.json",
                           "preprocessor_config.json", "video_preprocessor_config.json"}) {
    if (!std::filesystem::exists(from / name)) continue;
    std::filesystem::copy_file(from / name, to / name, std::filesystem::copy_options::overwrite_existing);
    ++copied;
  }
  if (copied == 0) throw Error("no tokenizer file is there", from.string());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Writes a checkpoint folder with random weights of a model's shape."};
  std::filesystem::path out;
  std::string model, model_type = "qwen3";
  std::optional<std::filesystem::path> tokenizer;
  Sizes s{"", 64, 160, 2, 4, 2, 16, 512, 4096, 1e6};
  bool untied = false;
  uint64_t seed = 1;
  int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  app.add_option("out", out, "folder to write; made if it is not there")->required();
  std::vector<std::string> names;
  for (const Sizes& known : kModels) names.push_back(known.name);
  auto* preset = app.add_option("--model", model, "shape of a published model")->check(CLI::IsMember(names));
  app.add_option("--model-type", model_type)->check(CLI::IsMember({"qwen3", "qwen2", "llama"}))->capture_default_str();
  const auto size = [&](const char* name, int64_t& value) {
    app.add_option(name, value)->check(CLI::PositiveNumber)->excludes(preset)->capture_default_str();
  };
  size("--hidden", s.hidden);
  size("--intermediate", s.intermediate);
  size("--layers", s.layers);
  size("--heads", s.heads);
  size("--kv-heads", s.kv_heads);
  size("--head-dim", s.head_dim);
  size("--vocab", s.vocab);
  size("--positions", s.positions);
  app.add_option("--rope-theta", s.rope_theta)->excludes(preset)->capture_default_str();
  std::string form;
  app.add_option("--quantize", form, "matrices as random codes")
      ->check(CLI::IsMember({"int8-static", "int8-dynamic", "int4"}));
  app.add_flag("--untied", untied, "store an lm_head of its own");
  app.add_option("--tokenizer", tokenizer, "folder to copy the tokenizer files from")->check(CLI::ExistingDirectory);
  app.add_option("--seed", seed)->capture_default_str();
  app.add_option("--threads", threads)->check(CLI::Range(1, 256))->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  try {
    for (const Sizes& known : kModels) {
      if (known.name == model) s = known;
    }
    const auto begin = std::chrono::steady_clock::now();
    std::filesystem::create_directories(out);
    untied = untied || model == "qwen3-vl-8b";
    const Json text = config_of(s, model_type, !untied);
    Json config = text;
    for (const VisionSizes& tower : kTowers) {
      if (tower.name == model) config = with_tower(text, tower, !untied);
    }
    const ModelConfig checked = parse_config(config, "the sizes given");
    std::vector<TensorSpec> tensors = tensors_of(checked);
    if (!form.empty() && checked.vision) throw Error("--quantize knows no model that sees images", model);
    if (!form.empty()) {
      tensors = quantized_tensors(tensors, form, !untied);
      config["quantization_config"] = quantization_config_of(form);
    }
    write_weights(out / "model.safetensors", tensors, seed, threads);
    write_file_atomically(out / "config.json", to_text(config, 2) + "\n");
    write_file_atomically(out / "generation_config.json", to_text(generation_config_of(text), 2) + "\n");
    if (tokenizer) copy_tokenizer(*tokenizer, out);
    fmt::print(stderr, "{:.1f} s\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  } catch (const Error& e) {
    fmt::print(stderr, "error: {}\nwhere: {}\n", e.message(), e.where());
    return 1;
  } catch (const std::filesystem::filesystem_error& e) {
    fmt::print(stderr, "error: {}\n", e.what());
    return 1;
  }
  return 0;
}
