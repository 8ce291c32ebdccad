// ONNX files that nobody vouches for: their structure is checked before ONNX Runtime reads them.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"
#include "onnx/external_file.h"
#include "onnx/tensor.h"

namespace duan::onnx {

inline constexpr size_t kMaxModelBytes = (size_t{1} << 31) - 1;  // what protobuf can hold
inline constexpr int64_t kMaxNodes = 200'000;
inline constexpr int64_t kMaxItems = 2'000'000;  // messages and strings: each becomes an object in memory

struct ModelFacts {
  int64_t nodes = 0;
  int64_t weight_bytes = 0;         // of all initializers, here and in other files
  std::set<int32_t> weight_types;   // theirs, as TensorProto.DataType
  bool rounds_activations = false;  // some node makes integer codes of numbers
  // KV cache that can be updated in place: past input -> present output of one GroupQueryAttention, where nothing else
  // reads the past.
  std::map<std::string, std::string> caches_in_place;
};

// The bytes of a ModelProto. Refused are, with the node or tensor named: malformed messages, unknown and repeated
// fields, functions, control flow (and with it subgraphs), operators of other domains than ONNX's and com.microsoft,
// sparse and string tensors, attributes that are not of their type, names that are used twice or nowhere defined,
// MatMulNBits whose attributes do not fit its weights, data that are not as long as their dimensions say.
// `external` gives the size of a file beside the model, or throws. Throws Error without `where`.
ModelFacts verify_model(std::string_view bytes, const ExternalBytes& external);

struct VerifiedModel {
  std::filesystem::path file;
  MappedFile proto;
  std::vector<ExternalFile> data;
  ModelFacts facts;

  std::string_view bytes() const;
  // Throws Error if a data file is no longer the one that was looked at. To be called once ONNX Runtime has read them.
  void check_unchanged() const;
};

// The same for a file and those it names, which must lie in its folder. Throws Error.
VerifiedModel verify_file(const std::filesystem::path& file);

}  // namespace duan::onnx
