#include "inspect/loader_tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <set>

#include "base/error.h"
#include "checkpoint/quantized_weight.h"
#include "models/registry.h"

namespace duan::inspect {
namespace {

using checkpoint::Checkpoint;
using checkpoint::QuantizationScheme;
using checkpoint::TensorView;

constexpr const char* kHead = "lm_head";
constexpr const char* kRewrite = "write the checkpoint again: duan quantize, or duan convert";

std::string without_weight(const std::string& name) {
  constexpr std::string_view kWeight = ".weight";
  return name.ends_with(kWeight) ? name.substr(0, name.size() - kWeight.size()) : name;
}

int64_t groups_of(const LoaderModule& m) { return m.scheme->group_size == 0 ? 1 : m.shape[1] / m.scheme->group_size; }

// "" if the tensor is there as it should be, else what is there. dtype: unset for any float.
std::string mismatch(const Checkpoint& checkpoint, const std::string& name, std::optional<DType> dtype,
                     const Shape& shape) {
  const std::optional<TensorView> found = checkpoint.find(name);
  if (!found) return fmt::format("no {}", printable(name));
  const bool fits = dtype ? found->dtype == *dtype : is_float(found->dtype);
  if (fits && found->shape == shape) return "";
  return fmt::format("{} {} {}", printable(name), dtype_name(found->dtype), to_string(found->shape));
}

std::string mismatch_of_shape(const Checkpoint& checkpoint, const LoaderModule& m) {
  const std::string name = m.name + ".weight_shape";
  const std::optional<TensorView> found = checkpoint.find(name);
  if (!found) return fmt::format("no {}", printable(name));
  if (found->shape != Shape{2} || (found->dtype != DType::i64 && found->dtype != DType::i32)) {
    return fmt::format("{} {} {}", printable(name), dtype_name(found->dtype), to_string(found->shape));
  }
  Shape stored(2);
  for (size_t i = 0; i < 2; ++i) {
    int32_t narrow;
    std::memcpy(&narrow, found->data + i * 4, 4);
    stored[i] = narrow;
    if (found->dtype == DType::i64) std::memcpy(&stored[i], found->data + i * 8, 8);
  }
  return stored == m.shape ? "" : fmt::format("{} {}", printable(name), to_string(stored));
}

class TensorChecks {
 public:
  TensorChecks(const LoaderModules& modules, const LoaderSchemes& schemes, const LoaderOptions& options,
               LoaderChecks& checks)
      : modules_(modules), schemes_(schemes), options_(options), checks_(checks) {}

  void run() {
    check_plain();
    if (schemes_.quantized) {
      check_agreement();
      check_ends();
      if (schemes_.packed) {
        check_packed();
      } else {
        check_int8();
      }
    }
    check_kv_cache();
    check_no_others();
  }

 private:
  using Test = std::function<std::string(const LoaderModule&)>;

  static bool is_quantized(const LoaderModule& m) {
    return m.scheme != nullptr && m.has_integers && m.shape.size() == 2;
  }

  // One requirement of every quantized module.
  void each(const std::string& what, const std::string& good, const std::string& expected, const std::string& advice,
            const Test& test) {
    std::string first;
    int64_t count = 0, failed = 0;
    for (const LoaderModule& m : modules_.list) {
      if (!is_quantized(m)) continue;
      ++count;
      const std::string found = test(m);
      if (!found.empty() && failed++ == 0) first = found;
    }
    if (failed > 1) first += fmt::format(" (and {} more)", failed - 1);
    checks_.require(failed == 0, what, fmt::format("{} modules have {}", count, good), first, expected, advice);
  }

  void expect(const std::string& name) { known_.insert(name); }

  std::string part(const LoaderModule& m, const char* name, std::optional<DType> dtype, const Shape& shape) {
    expect(m.name + name);
    return mismatch(modules_.checkpoint, m.name + name, dtype, shape);
  }

  std::string absent(const LoaderModule& m, const char* name) {
    expect(m.name + name);
    return modules_.checkpoint.contains(m.name + name) ? printable(m.name + name) : "";
  }

  void check_plain() {
    std::string first;
    int64_t failed = 0, count = 0;
    const auto check = [&](const std::string& name, const Shape& shape) {
      expect(name);
      ++count;
      const std::string found = mismatch(modules_.checkpoint, name, std::nullopt, shape);
      if (!found.empty() && failed++ == 0) first = found;
    };
    for (const LoaderModule& m : modules_.list) {
      if (!m.has_integers) check(m.name + ".weight", m.shape);
    }
    for (const auto& [name, shape] : modules_.others) check(name, shape);
    if (failed > 1) first += fmt::format(" (and {} more)", failed - 1);
    checks_.require(failed == 0, "plain weights", fmt::format("{} under their Hugging Face names", count), first,
                    "every weight that is not quantized, a float of the model's shape",
                    "names and shapes must be those of the original checkpoint");
  }

  // ignore covers what is plain, and nothing else.
  void check_agreement() {
    std::string first;
    int64_t failed = 0;
    const auto fail = [&](std::string what) {
      if (failed++ == 0) first = std::move(what);
    };
    for (const LoaderModule& m : modules_.list) {
      if (m.scheme != nullptr && !m.has_integers) fail(printable(m.name) + " is plain and not in ignore");
      if (m.scheme == nullptr && m.has_integers) fail(printable(m.name) + " holds integers and no target names it");
      if (m.tied && !m.has_integers && schemes_.config.scheme_of(kHead, "Linear") != nullptr) {
        fail("lm_head is plain (the embedding's matrix) and not in ignore");
      }
    }
    if (failed > 1) first += fmt::format(" (and {} more)", failed - 1);
    checks_.require(failed == 0, "targets and ignore", "they cover exactly what is quantized", first,
                    "every module that stays plain in ignore, under its Hugging Face name",
                    "add it to ignore in config.json; loaders look for its codes otherwise");
  }

  // vLLM's quantized layers are linear ones; tables and the head are read as plain numbers.
  void check_ends() {
    std::string first;
    bool table = false;
    for (const LoaderModule& m : modules_.list) {
      if (!m.has_integers || (m.linear && !m.head)) continue;
      if (first.empty()) first = printable(m.name) + " in integers";
      table |= !m.linear;
    }
    if (options_.loader == Loader::transformers) {
      if (table && !schemes_.packed) {
        checks_.note("embedding",
                     "its integers are used without their scales, and nothing is said, by transformers 4.57 "
                     "with compressed-tensors 0.13 unless CompressedTensorsConfig(run_compressed=False) is "
                     "passed; --keep 'embed_tokens|lm_head' leaves it plain");
      }
      return;
    }
    checks_.require(first.empty(), "embedding and head", "plain", first, "plain numbers",
                    "quantize with --keep 'embed_tokens|lm_head'");
  }

  void check_packed() {
    each("weight_packed", "I32 [out, in * bits / 32]", "I32 [out, in * bits / 32]", kRewrite, [&](const auto& m) {
      return part(m, ".weight_packed", DType::i32, {m.shape[0], (m.shape[1] * m.scheme->bits + 31) / 32});
    });
    each("group divides the inputs", "it", "in a multiple of group_size", "quantize with another --group-size",
         [&](const auto& m) -> std::string {
           if (m.scheme->group_size == 0 || m.shape[1] % m.scheme->group_size == 0) return "";
           return fmt::format("{} with {} inputs", printable(m.name), m.shape[1]);
         });
    each("weight_scale", "a float [out, groups]", "a float [out, in / group_size]", kRewrite, [&](const auto& m) {
      return part(m, ".weight_scale", std::nullopt, {m.shape[0], groups_of(m)});
    });
    each("weight_shape", "[out, in]", "I64 [2] that says [out, in]",
         "transformers crashes without it; " + std::string(kRewrite), [&](const auto& m) {
           expect(m.name + ".weight_shape");
           return mismatch_of_shape(modules_.checkpoint, m);
         });
    each("weight_zero_point", "it where the scheme is asymmetric, and only there",
         "I32 [out * bits / 32, groups] if asymmetric, else none", "config.json and the tensors must agree",
         [&](const auto& m) {
           if (m.scheme->symmetric) return absent(m, ".weight_zero_point");
           return part(m, ".weight_zero_point", DType::i32, {(m.shape[0] * m.scheme->bits + 31) / 32, groups_of(m)});
         });
    each("columns", "their own order", "no weight_g_idx", "it belongs to actorder \"group\", which loaders dropped",
         [&](const auto& m) { return absent(m, ".weight_g_idx"); });
    each("weight", "codes alone", "no plain weight beside the codes", kRewrite,
         [&](const auto& m) { return absent(m, ".weight"); });
  }

  void check_int8() {
    each("weight", "I8 [out, in]", "I8 [out, in]", kRewrite,
         [&](const auto& m) { return part(m, ".weight", DType::i8, m.shape); });
    each("weight_scale", "a float [out, 1]", "a float [out, 1]", kRewrite, [&](const auto& m) {
      if (m.tied) expect(std::string(kHead) + ".weight_scale");
      return part(m, ".weight_scale", std::nullopt, {m.shape[0], 1});
    });
    each("input_scale", "a float [1] where inputs have a calibrated range, and only there",
         "a float [1] if inputs are static, else none", "config.json and the tensors must agree", [&](const auto& m) {
           const QuantizationScheme* scheme = m.tied ? schemes_.config.scheme_of(kHead, "Linear") : m.scheme;
           LoaderModule reader = m;
           if (m.tied) reader.name = kHead;
           if (scheme == nullptr || scheme->input != InputRounding::fixed) return absent(reader, ".input_scale");
           return part(reader, ".input_scale", std::nullopt, {1});
         });
    each("weight_zero_point", "none", "none with symmetric weights", kRewrite,
         [&](const auto& m) { return absent(m, ".weight_zero_point"); });
  }

  void check_kv_cache() {
    std::string first;
    for (const LoaderModule& m : modules_.list) {
      if (!schemes_.kv_cache || !m.name.ends_with(".self_attn.k_proj")) continue;
      const std::string attention = m.name.substr(0, m.name.size() - std::string_view("k_proj").size());
      for (const char* scale : {"k_scale", "v_scale"}) {
        expect(attention + scale);
        const std::string found = mismatch(modules_.checkpoint, attention + scale, std::nullopt, {1});
        if (first.empty()) first = found;
      }
    }
    checks_.require(first.empty(), "KV cache",
                    schemes_.kv_cache ? "a scale for keys and values of each layer" : "no scales", first,
                    "self_attn.k_scale and v_scale, a float [1] each, with kv_cache_scheme",
                    "remove kv_cache_scheme from config.json");
  }

  // A tied head with numbers of its own: transformers 5 takes those, vLLM the table's.
  bool is_copy_of_table(const std::string& name) const {
    const auto tied = std::find_if(modules_.list.begin(), modules_.list.end(), [](const auto& m) { return m.tied; });
    if (name != std::string(kHead) + ".weight" || tied == modules_.list.end()) return false;
    const auto head = modules_.checkpoint.find(name), table = modules_.checkpoint.find(tied->name + ".weight");
    return head && table && head->dtype == table->dtype && head->shape == table->shape &&
           std::memcmp(head->data, table->data, head->bytes) == 0;
  }

  void check_no_others() {
    std::string first;
    int64_t failed = 0;
    for (const checkpoint::TensorInfo& tensor : modules_.checkpoint.tensors()) {
      const bool left_out = is_copy_of_table(tensor.name) || tensor.name.ends_with("rotary_emb.inv_freq");
      if (known_.contains(tensor.name) || left_out) continue;
      if (failed++ == 0) first = printable(tensor.name);
    }
    if (failed > 1) first += fmt::format(" (and {} more)", failed - 1);
    checks_.require(failed == 0, "no other tensors", "none", first, "only tensors that the model reads",
                    "vLLM stops at a name it does not know, transformers ignores it");
  }

  const LoaderModules& modules_;
  const LoaderSchemes& schemes_;
  const LoaderOptions& options_;
  LoaderChecks& checks_;
  std::set<std::string> known_;
};

// What a device gets of a product: q, k and v are one, and so are gate and up.
struct Shard {
  int64_t outputs, inputs;
};

class ShardChecks {
 public:
  ShardChecks(const checkpoint::ModelConfig& config, int64_t devices) : config_(config), devices_(devices) {}

  // "" or the extent that does not divide.
  std::string indivisible() const {
    const auto divides = [&](int64_t n) { return n % devices_ == 0; };
    if (!divides(config_.num_attention_heads)) return fmt::format("{} attention heads", config_.num_attention_heads);
    const int64_t kv = config_.num_key_value_heads;
    if (!divides(kv) && devices_ % kv != 0) return fmt::format("{} key/value heads", kv);
    if (!divides(config_.intermediate_size))
      return fmt::format("an intermediate size of {}", config_.intermediate_size);
    return "";
  }

  Shard of(const LoaderModule& m) const {
    const auto ends = [&](std::string_view part) { return m.name.ends_with(part); };
    if (ends(".q_proj") || ends(".k_proj") || ends(".v_proj")) {
      const int64_t kv_heads = std::max<int64_t>(config_.num_key_value_heads / devices_, 1);
      return {(config_.num_attention_heads / devices_ + 2 * kv_heads) * config_.head_dim, m.shape[1]};
    }
    if (ends(".gate_proj") || ends(".up_proj")) return {2 * m.shape[0] / devices_, m.shape[1]};
    if (ends(".o_proj") || ends(".down_proj")) return {m.shape[0], m.shape[1] / devices_};
    return {m.shape[0], m.shape[1]};  // whole on every device
  }

 private:
  const checkpoint::ModelConfig& config_;
  int64_t devices_;
};

std::vector<LoaderModule> modules_of(const ir::Graph& graph, std::set<std::string>& seen) {
  std::vector<LoaderModule> modules;
  for (const ir::Node& node : graph.nodes) {
    const auto* linear = std::get_if<ir::Linear>(&node.op);
    const auto* embed = std::get_if<ir::Embed>(&node.op);
    if (linear == nullptr && embed == nullptr) continue;
    const ir::WeightInfo& info = graph.weight(linear != nullptr ? linear->weight : embed->weight);
    const bool head =
        linear != nullptr && std::find(graph.outputs.begin(), graph.outputs.end(), node.output) != graph.outputs.end();
    if (!seen.insert(info.name).second) {
      for (LoaderModule& m : modules) m.tied = m.tied || (m.name + ".weight" == info.name && head);
      continue;
    }
    modules.push_back(
        {.name = without_weight(info.name), .shape = info.shape, .linear = linear != nullptr, .head = head});
  }
  return modules;
}

}  // namespace

LoaderModules::LoaderModules(const std::filesystem::path& folder, const checkpoint::ModelConfig& config,
                             const LoaderSchemes& schemes)
    : checkpoint(Checkpoint::open(folder)) {
  std::vector<ir::Graph> graphs{models::build_graph(config)};
  if (auto vision = models::build_vision_graph(config)) graphs.push_back(std::move(*vision));
  for (const ir::Graph& graph : graphs) {
    std::set<std::string> seen;
    for (LoaderModule& m : modules_of(graph, seen)) {
      m.head = m.head && &graph == &graphs.front();  // a tower's last product is none
      list.push_back(std::move(m));
    }
    for (const ir::WeightInfo& info : graph.weights) {
      if (seen.contains(info.name)) continue;
      if (info.shape.size() == 2) {
        list.push_back({.name = without_weight(info.name), .shape = info.shape, .linear = false});
      } else {
        others.emplace_back(info.name, info.shape);
      }
    }
  }
  for (LoaderModule& m : list) {
    m.has_integers = checkpoint::is_quantized(checkpoint, m.name);
    const std::string kind = m.shape.size() != 2 ? "Conv3d" : checkpoint::module_class(m.name);
    m.scheme = schemes.config.scheme_of(m.name, kind);
  }
}

void check_tensors(const LoaderModules& modules, const LoaderSchemes& schemes, const LoaderOptions& options,
                   LoaderChecks& checks) {
  TensorChecks(modules, schemes, options, checks).run();
}

void check_shards(const LoaderModules& modules, const LoaderSchemes& schemes, const checkpoint::ModelConfig& config,
                  const LoaderOptions& options, LoaderChecks& checks) {
  const ShardChecks shards(config, options.tensor_parallel);
  const std::string indivisible = shards.indivisible();
  checks.require(indivisible.empty(), "tensor parallel",
                 options.tensor_parallel == 1 ? "one device" : fmt::format("{} devices", options.tensor_parallel),
                 fmt::format("{} for {} devices", indivisible, options.tensor_parallel),
                 "heads and intermediate size that divide", "choose another --tensor-parallel");
  if (!schemes.packed || !indivisible.empty()) return;
  const int64_t outputs = options.cpu ? 32 : 64, inputs = options.cpu ? 32 : 128;
  std::string first, first_group;
  for (const LoaderModule& m : modules.list) {
    if (m.scheme == nullptr || !m.has_integers || m.shape.size() != 2) continue;
    const Shard shard = shards.of(m);
    if (first.empty() && (shard.outputs % outputs != 0 || shard.inputs % inputs != 0)) {
      first = fmt::format("{} with [{}, {}] on each device", printable(m.name), shard.outputs, shard.inputs);
    }
    const int64_t group = m.scheme->group_size;
    if (first_group.empty() && group > 0 && shard.inputs % group != 0) {
      first_group = fmt::format("{} with {} inputs on each device", printable(m.name), shard.inputs);
    }
  }
  checks.require(
      first.empty(), "extents of a shard", fmt::format("outputs are multiples of {}, inputs of {}", outputs, inputs),
      first, fmt::format("outputs a multiple of {}, inputs of {}", outputs, inputs),
      options.tensor_parallel > 1 ? "choose a smaller --tensor-parallel" : "leave the layer out of quantization");
  checks.require(first_group.empty(), "group of a shard", "it divides the inputs of each device", first_group,
                 "inputs a multiple of group_size",
                 options.tensor_parallel > 1 ? "choose a smaller --tensor-parallel or group"
                                             : "quantize with another --group-size");
}

}  // namespace duan::inspect
