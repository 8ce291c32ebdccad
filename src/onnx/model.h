// An ONNX model under construction: the protobuf without the large weights, and where their bytes come from.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "onnx/onnx.pb.h"

namespace duan::onnx {

using ByteSink = std::function<void(std::span<const std::byte>)>;

// A tensor that is written beside model.onnx. `write` hands its bytes to the sink in any number of pieces, exactly
// `bytes` together; it may throw Error naming the weight.
struct ExternalTensor {
  int initializer;  // index into proto.graph().initializer()
  uint64_t bytes;
  std::function<void(const ByteSink&)> write;
};

struct Model {
  pb::ModelProto proto;
  std::vector<ExternalTensor> external;
  bool int8_products = false;  // are there products of int8 weights with rounded inputs?
};

}  // namespace duan::onnx
