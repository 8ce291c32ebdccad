#include "onnx/external_data.h"

#include <algorithm>

#include "base/error.h"

namespace duan::onnx {
namespace {

// The place of a tensor of `bytes` bytes behind `end`.
uint64_t aligned(uint64_t end, uint64_t bytes) {
  const uint64_t alignment = bytes < kSmallBytes ? kSmallAlignment : kPageBytes;
  return (end + alignment - 1) / alignment * alignment;
}

}  // namespace

uint64_t place_external(Model& model, const std::string& location) {
  std::stable_partition(model.external.begin(), model.external.end(),
                        [](const ExternalTensor& tensor) { return tensor.bytes >= kSmallBytes; });
  uint64_t end = 0;
  for (const ExternalTensor& tensor : model.external) {
    const uint64_t offset = aligned(end, tensor.bytes);
    pb::TensorProto& proto = *model.proto.mutable_graph()->mutable_initializer(tensor.initializer);
    const auto set = [&](const char* key, const std::string& value) {
      pb::StringStringEntryProto& entry = *proto.add_external_data();
      entry.set_key(key);
      entry.set_value(value);
    };
    set("location", location);
    set("offset", std::to_string(offset));
    set("length", std::to_string(tensor.bytes));
    end = offset + tensor.bytes;
  }
  return end;
}

void write_external(const Model& model, AtomicFile& file, uint64_t total, const Progress& progress) {
  for (const ExternalTensor& tensor : model.external) {
    file.write(std::string(aligned(file.written(), tensor.bytes) - file.written(), '\0'));
    const uint64_t begin = file.written();
    tensor.write([&](std::span<const std::byte> piece) {
      file.write(piece);
      if (progress) progress(file.written(), total);
    });
    DUAN_CHECK(file.written() - begin == tensor.bytes, "tensor {}: {} bytes were given, expected {}",
               model.proto.graph().initializer(tensor.initializer).name(), file.written() - begin, tensor.bytes);
  }
}

}  // namespace duan::onnx
