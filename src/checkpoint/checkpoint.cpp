#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <unordered_map>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "checkpoint/awq_gptq_weight.h"
#include "checkpoint/quantized_weight.h"

namespace duan::checkpoint {

struct Checkpoint::Repacked {
  std::mutex mutex;
  std::map<std::string, RepackedWeight> by_module;  // nodes stay where they are
  bool told = false, told_of_dense = false;
};

namespace {

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr size_t kMaxShards = 10'000;

// Names from an index become paths: only a plain file name may.
void check_shard_name(const std::string& name, const std::string& where) {
  const bool plain =
      !name.empty() && name.size() <= 255 && name.find_first_of(std::string("/\\\0", 3)) == std::string::npos;
  if (!plain || !name.ends_with(".safetensors") || name.starts_with(".")) {
    throw Error(fmt::format("shard \"{}\" is not the plain name of a .safetensors file", printable(name)), where);
  }
}

bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

}  // namespace

Checkpoint Checkpoint::open(const std::filesystem::path& folder, std::optional<QuantizationConfig> quantization) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) throw Error("is not a folder", folder.string());
  Checkpoint checkpoint;
  checkpoint.folder_ = folder;
  checkpoint.quantization_ = std::move(quantization);
  checkpoint.repacked_ = std::make_shared<Repacked>();
  // The order of transformers: a single file wins over an index.
  if (is_there(folder / kSingleFile)) {
    checkpoint.add_shard(folder / kSingleFile);
  } else if (is_there(folder / kIndexFile)) {
    checkpoint.read_index(folder / kIndexFile);
  } else {
    const bool pickled = is_there(folder / "pytorch_model.bin") || is_there(folder / "pytorch_model.bin.index.json");
    throw Error(fmt::format("no weights: neither {} nor {} is there", kSingleFile, kIndexFile), folder.string(),
                pickled ? "pytorch_model.bin can run code and is never read; convert it to safetensors first" : "");
  }
  return checkpoint;
}

void Checkpoint::add_shard(const std::filesystem::path& file) {
  shards_.push_back(std::make_shared<Shard>(Shard{SafetensorsFile(file), {}}));
  shards_.back()->listed.assign(shards_.back()->file.entries().size(), true);
}

void Checkpoint::read_index(const std::filesystem::path& index) {
  const std::string where = index.string();
  const Json json = read_json(index, {.max_bytes = 64u << 20, .max_depth = 8});
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    throw Error("\"weight_map\" is missing or not an object", where);
  }

  std::map<std::string, std::vector<std::string>> names_by_shard;
  for (const auto& [name, shard] : json["weight_map"].items()) {
    if (!shard.is_string()) throw Error(fmt::format("the shard of \"{}\" is not a string", printable(name)), where);
    names_by_shard[shard.get<std::string>()].push_back(name);
  }
  if (names_by_shard.empty()) throw Error("\"weight_map\" is empty", where);
  if (names_by_shard.size() > kMaxShards) {
    throw Error(fmt::format("{} shards, at most {} are read", names_by_shard.size(), kMaxShards), where);
  }

  for (const auto& [shard_name, names] : names_by_shard) {
    check_shard_name(shard_name, where);
    const std::filesystem::path path = folder_ / shard_name;
    if (!is_there(path)) {
      throw Error(
          fmt::format("shard \"{}\" is missing; it holds {} of the tensors", printable(shard_name), names.size()),
          where, "the download may be incomplete");
    }
    add_shard(path);
    Shard& shard = *shards_.back();
    shard.listed.assign(shard.file.entries().size(), false);
    for (const std::string& name : names) {
      const TensorEntry* entry = shard.file.entry(name);
      if (entry == nullptr) {
        throw Error(fmt::format("tensor \"{}\" is not in shard \"{}\", where the index has it", printable(name),
                                printable(shard_name)),
                    where);
      }
      shard.listed[static_cast<size_t>(entry - shard.file.entries().data())] = true;
    }
  }

  std::unordered_map<std::string_view, const Shard*> holders;
  for (const std::shared_ptr<Shard>& shard : shards_) {
    size_t unlisted = 0;
    for (size_t i = 0; i < shard->listed.size(); ++i) {
      const std::string& name = shard->file.entries()[i].name;
      const auto [other, fresh] = holders.emplace(name, shard.get());
      if (!fresh) {
        throw Error(fmt::format("tensor \"{}\" is in two shards, {} and {} (duplicate)", printable(name),
                                other->second->file.path().filename().string(), shard->file.path().filename().string()),
                    where);
      }
      if (!shard->listed[i] && unlisted++ == 0) {
        warn("{}: tensor \"{}\" is not listed in {} and is ignored", shard->file.path().string(), printable(name),
             kIndexFile);
      }
    }
  }
}

Checkpoint::Found Checkpoint::look_up(const std::string& name) const {
  for (const std::shared_ptr<Shard>& shard : shards_) {
    const TensorEntry* entry = shard->file.entry(name);
    if (entry != nullptr && shard->listed[static_cast<size_t>(entry - shard->file.entries().data())])
      return {shard.get(), entry};
  }
  return {nullptr, nullptr};
}

bool Checkpoint::contains(const std::string& name) const { return look_up(name).entry != nullptr; }

std::optional<TensorView> Checkpoint::find(const std::string& name) const {
  const auto [shard, entry] = look_up(name);
  if (entry == nullptr) return std::nullopt;
  return shard->file.view(*entry);
}

void Checkpoint::release(std::span<const std::byte> part) const {
  for (const std::shared_ptr<Shard>& shard : shards_) {
    if (shard->file.release(part)) return;
  }
}

std::vector<TensorInfo> Checkpoint::tensors() const {
  std::vector<TensorInfo> out;
  for (const std::shared_ptr<Shard>& shard : shards_) {
    for (size_t i = 0; i < shard->listed.size(); ++i) {
      if (!shard->listed[i]) continue;
      const TensorEntry& e = shard->file.entries()[i];
      out.push_back({e.name, e.dtype, e.shape, e.end - e.begin, shard->file.path()});
    }
  }
  return out;
}

size_t Checkpoint::total_bytes() const {
  size_t total = 0;
  for (const std::shared_ptr<Shard>& shard : shards_) {
    for (size_t i = 0; i < shard->listed.size(); ++i) {
      if (shard->listed[i]) total += shard->file.entries()[i].end - shard->file.entries()[i].begin;
    }
  }
  return total;
}

std::vector<TensorInfo> Checkpoint::tensors_of(const std::string& weight) const {
  std::vector<TensorInfo> out;
  const auto add = [&](const std::string& name) {
    const auto [shard, entry] = look_up(name);
    if (entry == nullptr) return;
    out.push_back({entry->name, entry->dtype, entry->shape, entry->end - entry->begin, shard->file.path()});
  };
  add(weight);
  if (!weight.ends_with(".weight")) return out;
  const std::string module = weight.substr(0, weight.size() - std::string_view(".weight").size());
  if (!is_quantized(*this, module)) return out;
  for (const char* part : {".weight_packed", ".weight_scale", ".weight_zero_point", ".weight_shape", ".input_scale",
                           ".input_zero_point", ".qweight", ".qzeros", ".scales", ".g_idx"}) {
    add(module + part);
  }
  return out;
}

Weight Checkpoint::weight(const std::string& name, const Shape& expected) const { return read(name, expected, true); }

Weight Checkpoint::description(const std::string& name, const Shape& expected) const {
  return read(name, expected, false);
}

Weight Checkpoint::repacked(const std::string& module, const Shape& expected, bool with_numbers) const {
  const TransposedWeight stored = transposed_weight(*this, module, expected, *quantization_);
  if (!with_numbers) return stored.description();
  const std::lock_guard lock(repacked_->mutex);
  const auto known = repacked_->by_module.find(module);
  if (known != repacked_->by_module.end()) return known->second.weight;
  if (!stored.in_order && !std::exchange(repacked_->told_of_dense, true)) {
    warn(
        "{}: \"{}\" and maybe others have columns in no order of groups (desc_act): they are computed as plain {}, "
        "with the memory and the time of weights that are not quantized",
        folder_.string(), printable(module), dtype_name(stored.scales.dtype));
  }
  if (stored.in_order && !std::exchange(repacked_->told, true)) {
    warn("{}: the weights of {} are put in another order in memory while they are loaded; duan convert does so once",
         folder_.string(), storage_name(stored.storage));
  }
  const auto at = repacked_->by_module.emplace(module, repack(stored)).first;
  for (const TensorView& part : {stored.qweight, stored.qzeros, stored.scales}) release({part.data, part.bytes});
  return at->second.weight;
}

Weight Checkpoint::read(const std::string& name, const Shape& expected, bool with_numbers) const {
  if (name.ends_with(".weight")) {
    const std::string module = name.substr(0, name.size() - std::string_view(".weight").size());
    const bool others = quantization_ && quantization_->is_transposed();  // whose tensors say what is quantized
    if (others && is_transposed(*this, module)) return repacked(module, expected, with_numbers);
    const bool quantized = is_quantized(*this, module);
    const QuantizationScheme* scheme =
        quantization_ && !others ? quantization_->scheme_of(module, module_class(module)) : nullptr;
    if (quantized && scheme == nullptr) {
      throw Error(fmt::format("tensor \"{}\" holds integer codes, but config.json has no quantization_config for it",
                              printable(name)),
                  folder_.string(), "config.json may belong to another model");
    }
    if (quantized) {
      // An embedding that is the head's matrix too: the head's scheme says what its input is rounded to.
      const bool tied = module_class(module) == "Embedding" && !contains("lm_head.weight");
      const QuantizationScheme* head = tied ? quantization_->scheme_of("lm_head", "Linear") : nullptr;
      return quantized_weight(*this, module, expected, *scheme, head);
    }
    if (scheme != nullptr && expected.size() == 2 && contains(name)) {
      throw Error(fmt::format("tensor \"{}\" holds plain numbers, but config.json says it is quantized to {} bits",
                              printable(name), scheme->bits),
                  folder_.string(), "config.json may belong to another model");
    }
  }
  const auto [shard, entry] = look_up(name);
  if (entry == nullptr) {
    throw Error(fmt::format("tensor \"{}\" is missing; expected shape {}", printable(name), to_string(expected)),
                folder_.string(), "config.json may belong to another model");
  }
  const std::string where = shard->file.path().string();
  if (entry->shape != expected) {
    throw Error(fmt::format("tensor \"{}\" has shape {}, expected {}", printable(name), to_string(entry->shape),
                            to_string(expected)),
                where, "config.json may belong to another model");
  }
  if (!is_float(entry->dtype)) {
    throw Error(
        fmt::format("tensor \"{}\" has dtype {}, expected F32, F16 or BF16", printable(name), dtype_name(entry->dtype)),
        where);
  }
  return {name, entry->shape, Dense{entry->dtype, shard->file.view(*entry).data}};
}

}  // namespace duan::checkpoint
