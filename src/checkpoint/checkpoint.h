// The weights of a checkpoint folder: model.safetensors, or model.safetensors.index.json and its shards.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/quantization_config.h"
#include "checkpoint/safetensors.h"
#include "tensor/weight.h"

namespace duan::checkpoint {

struct TensorInfo {
  std::string name;
  DType dtype;
  Shape shape;
  size_t bytes;
  std::filesystem::path file;
};

// Copies share the mapped files; weights stay valid while one copy lives.
class Checkpoint {
 public:
  // Throws Error: no weights in the folder, a shard missing, a malformed file, a tensor that is not where the index
  // says, or one that two shards hold. A tensor that the index does not list is not part of the checkpoint (warned).
  // `quantization` is config.json's: how modules that hold integer codes are read.
  static Checkpoint open(const std::filesystem::path& folder, std::optional<QuantizationConfig> quantization = {});

  const std::filesystem::path& folder() const { return folder_; }
  bool contains(const std::string& name) const;
  std::vector<TensorInfo> tensors() const;  // file by file, in the order of their data
  size_t total_bytes() const;               // of all tensors

  // The weight of this name, plain or quantized ("….q_proj.weight" also if it is stored as "….q_proj.weight_packed").
  // Throws Error if it is absent or of another shape, or if its tensors are not what quantization_config says.
  // A weight of AutoAWQ or GPTQ is put into our layout in memory when it is first asked for, which is warned of once.
  Weight weight(const std::string& name, const Shape& expected) const;

  // The same without its numbers: the format, dtypes and sizes; pointers in it must not be read. Costs nothing.
  Weight description(const std::string& name, const Shape& expected) const;

  const std::optional<QuantizationConfig>& quantization() const { return quantization_; }

  // Says that `part` of a weight will not be read again soon: its pages leave this process's memory, so that reading
  // a large model once, front to back, takes no more memory than a piece. Bytes that are not mapped stay.
  void release(std::span<const std::byte> part) const;

  // A tensor of any dtype; nothing if absent.
  std::optional<TensorView> find(const std::string& name) const;

  // Every tensor that holds part of the weight of this name: itself, or its codes, scales, zero points and shape.
  std::vector<TensorInfo> tensors_of(const std::string& weight) const;

 private:
  struct Shard {
    SafetensorsFile file;
    std::vector<bool> listed;  // by position in file.entries(); all true without an index
  };
  struct Found {
    const Shard* shard;
    const TensorEntry* entry;
  };
  struct Repacked;  // weights in our layout, by name
  Weight read(const std::string& name, const Shape& expected, bool with_numbers) const;
  Weight repacked(const std::string& module, const Shape& expected, bool with_numbers) const;
  Found look_up(const std::string& name) const;  // {nullptr, nullptr} if absent
  void add_shard(const std::filesystem::path& file);
  void read_index(const std::filesystem::path& index);

  std::filesystem::path folder_;
  std::optional<QuantizationConfig> quantization_;
  std::vector<std::shared_ptr<Shard>> shards_;
  std::shared_ptr<Repacked> repacked_;
};

}  // namespace duan::checkpoint
