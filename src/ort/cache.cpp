#include "ort/cache.h"

#include <cstring>

#include "base/error.h"

namespace duan::ort {
namespace {

ONNXTensorElementDataType element_type(const CacheTensor& tensor) {
  return tensor.f16 ? ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16 : ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

std::byte* bytes_of(Ort::Value& value) { return static_cast<std::byte*>(value.GetTensorMutableRawData()); }

}  // namespace

Cache::Cache(const std::vector<CacheTensor>& tensors, int64_t context) {
  for (const CacheTensor& tensor : tensors) {
    int64_t bytes = 0;
    if (__builtin_mul_overflow(tensor.bytes_per_position(), context, &bytes) ||
        __builtin_add_overflow(bytes_, bytes, &bytes_)) {
      throw Error(fmt::format("a context of {} positions is too large", context), "--ctx-size");
    }
  }
  if (const int64_t memory = engine::physical_memory(); bytes_ > memory) {
    throw Error(fmt::format("the KV cache of {} positions needs {:.1f} GB, this machine has {:.1f} GB", context,
                            static_cast<double>(bytes_) * 1e-9, static_cast<double>(memory) * 1e-9),
                "--ctx-size", "choose a shorter context with -c");
  }
  const auto info = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  for (const CacheTensor& tensor : tensors) {
    Slot slot{tensor, {}};
    if (tensor.in_place) {
      const auto bytes = static_cast<size_t>(tensor.bytes_per_position() * context);
      slot.memory = engine::ZeroedMemory(bytes);
      const std::vector<int64_t> dims = shape(slot, context);
      slot.value =
          Ort::Value::CreateTensor(info, slot.memory.data(), bytes, dims.data(), dims.size(), element_type(tensor));
    } else {
      slot.value = make(slot, 0);
    }
    slots_.push_back(std::move(slot));
  }
}

std::vector<int64_t> Cache::shape(const Slot& slot, int64_t positions) const {
  return {1, slot.tensor.kv_heads, positions, slot.tensor.head_dim};
}

Ort::Value Cache::make(const Slot& slot, int64_t positions) const {
  const Ort::AllocatorWithDefaultOptions allocator;
  const std::vector<int64_t> dims = shape(slot, positions);
  return Ort::Value::CreateTensor(allocator, dims.data(), dims.size(), element_type(slot.tensor));
}

void Cache::bind(Ort::IoBinding& binding, const Ort::MemoryInfo& memory) {
  for (const Slot& slot : slots_) {
    binding.BindInput(slot.tensor.past.c_str(), slot.value);
    if (slot.tensor.in_place) {
      binding.BindOutput(slot.tensor.present.c_str(), slot.value);
    } else {
      binding.BindOutput(slot.tensor.present.c_str(), memory);
    }
  }
}

void Cache::take(std::vector<Ort::Value>& outputs, size_t first, int64_t positions) {
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    if (slot.tensor.in_place) continue;
    const auto info = outputs.at(first + i).GetTensorTypeAndShapeInfo();
    if (info.GetShape() != shape(slot, positions) || info.GetElementType() != element_type(slot.tensor)) {
      throw Error(fmt::format("the graph returned {} of another shape than the cache of {} positions",
                              printable(slot.tensor.present), positions));
    }
  }
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i].tensor.in_place) slots_[i].value = std::move(outputs[first + i]);
  }
  positions_ = positions;
}

void Cache::truncate(int64_t positions) {
  if (positions == positions_) return;
  DUAN_CHECK(positions < positions_, "{} of {} positions", positions, positions_);
  std::vector<Ort::Value> kept;
  for (Slot& slot : slots_) {
    kept.push_back(slot.tensor.in_place ? Ort::Value(nullptr) : make(slot, positions));
    if (slot.tensor.in_place || positions == 0) continue;
    const auto row = static_cast<size_t>(slot.tensor.head_dim * (slot.tensor.f16 ? 2 : 4));
    const size_t from = static_cast<size_t>(positions_) * row, to = static_cast<size_t>(positions) * row;
    for (size_t head = 0; head < static_cast<size_t>(slot.tensor.kv_heads); ++head) {
      std::memcpy(bytes_of(kept.back()) + head * to, bytes_of(slot.value) + head * from, to);
    }
  }
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i].tensor.in_place) slots_[i].value = std::move(kept[i]);
  }
  positions_ = positions;
}

}  // namespace duan::ort
