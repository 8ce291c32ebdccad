// Protobuf's wire format, read strictly: for messages nobody vouches for. Nothing is copied or allocated.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace duan::onnx {

enum class Wire : uint8_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

// A field that a message may have.
struct FieldRule {
  uint32_t number;
  const char* name;
  Wire wire;
  bool repeated = false;  // repeated numbers may come packed, too
};

struct Field {
  const FieldRule* rule;
  Wire wire;               // bytes where a repeated number came packed
  uint64_t value = 0;      // of varint, fixed32 and fixed64
  std::string_view bytes;  // of bytes
};

class WireReader {
 public:
  // `rules` in ascending order of their numbers; at most 64.
  WireReader(std::string_view message, std::span<const FieldRule> rules) : rest_(message), rules_(rules) {}

  // False at the end. Throws Error: cut short, a field without a rule, a group, a field of another wire type, one that
  // is there twice but not repeated (protobuf would merge them).
  bool next(Field& field);

 private:
  std::string_view rest_;
  std::span<const FieldRule> rules_;
  uint64_t seen_ = 0;  // one bit per rule
};

// Takes a varint from the front of `bytes`. Throws Error: cut short, longer than ten bytes, more than 64 bits.
uint64_t take_varint(std::string_view& bytes);

// Numbers in the field: one, or as many as the packed bytes hold. Throws Error where they do not come out even.
int64_t count_numbers(const Field& field);

// varint fields as signed numbers. int32 throws Error where the value does not fit (protobuf would cut it off).
inline int64_t as_int64(uint64_t value) { return static_cast<int64_t>(value); }
int32_t as_int32(const Field& field);

}  // namespace duan::onnx
