#include "onnx/external_data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>

#include "base/error.h"

namespace duan::onnx {
namespace {

// The place of a tensor of `bytes` bytes behind `end`.
uint64_t aligned(uint64_t end, uint64_t bytes) {
  const uint64_t alignment = bytes < kSmallBytes ? kSmallAlignment : kPageBytes;
  return (end + alignment - 1) / alignment * alignment;
}

// The same in two models only if one of them may stand for both.
std::string identity(const pb::TensorProto& tensor) {
  return fmt::format("{} {} {}", tensor.name(), tensor.data_type(), fmt::join(tensor.dims(), ","));
}

void record(pb::TensorProto& proto, const std::string& location, uint64_t offset, uint64_t bytes) {
  const auto set = [&](const char* key, const std::string& value) {
    pb::StringStringEntryProto& entry = *proto.add_external_data();
    entry.set_key(key);
    entry.set_value(value);
  };
  set("location", location);
  set("offset", std::to_string(offset));
  set("length", std::to_string(bytes));
}

}  // namespace

ExternalData::ExternalData(std::span<Model> models, const std::string& location) {
  std::map<std::string, uint64_t> offsets;
  for (const bool large : {true, false}) {
    for (Model& model : models) {
      for (const ExternalTensor& tensor : model.external) {
        if ((tensor.bytes >= kSmallBytes) != large) continue;
        pb::TensorProto& proto = *model.proto.mutable_graph()->mutable_initializer(tensor.initializer);
        const auto [place, is_new] = offsets.emplace(identity(proto), aligned(bytes_, tensor.bytes));
        if (is_new) {
          placed_.push_back({&tensor, proto.name()});
          bytes_ = place->second + tensor.bytes;
        }
        record(proto, location, place->second, tensor.bytes);
      }
    }
  }
}

void ExternalData::write(AtomicFile& file, const Progress& progress) const {
  for (const auto& [tensor, name] : placed_) {
    file.write(std::string(aligned(file.written(), tensor->bytes) - file.written(), '\0'));
    const uint64_t begin = file.written();
    tensor->write([&](std::span<const std::byte> piece) {
      file.write(piece);
      if (progress) progress(file.written(), bytes_);
    });
    DUAN_CHECK(file.written() - begin == tensor->bytes, "tensor {}: {} bytes were given, expected {}", name,
               file.written() - begin, tensor->bytes);
  }
}

}  // namespace duan::onnx
