// Checking a TensorProto: what it says of itself and what it holds agree.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

namespace duan::onnx {

inline constexpr size_t kMaxNameBytes = 1024;
inline constexpr size_t kMaxDims = 8;

// Bytes in the file of that name. Throws Error if a model may not have it.
using ExternalBytes = std::function<int64_t(std::string_view location)>;

struct TensorFacts {
  std::string_view name;  // may be empty
  int32_t data_type = 0;  // TensorProto.DataType
  std::vector<int64_t> dims;
  int64_t bytes = 0;
  bool external = false;

  int64_t elements() const;
};

// Bits of an element of a TensorProto.DataType; none for types that a model may not use (strings, complex numbers).
std::optional<int> element_bits(int64_t data_type);

// Throws Error: unknown fields, more dimensions than kMaxDims, negative ones, data that are there twice or not as many
// as the dimensions say, external data outside their file. Without `external`, data must lie in the message.
TensorFacts check_tensor(std::string_view message, const ExternalBytes& external);

// Throws Error: longer than kMaxNameBytes, a NUL, not UTF-8.
void check_name(std::string_view name);

// Walks over a StringStringEntryProto. Throws Error.
void read_entry(std::string_view message, std::string_view& key, std::string_view& value);

}  // namespace duan::onnx
