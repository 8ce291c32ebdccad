#include "onnx/wire.h"

#include <algorithm>
#include <limits>

#include "base/error.h"

namespace duan::onnx {
namespace {

[[noreturn]] void cut_short() { throw Error("a message is cut short"); }

std::string_view take(std::string_view& from, uint64_t bytes) {
  if (bytes > from.size()) cut_short();
  const std::string_view taken = from.substr(0, bytes);
  from.remove_prefix(bytes);
  return taken;
}

uint64_t take_fixed(std::string_view& from, size_t bytes) {
  uint64_t value = 0;
  const std::string_view taken = take(from, bytes);
  for (size_t i = 0; i < bytes; ++i) value |= static_cast<uint64_t>(static_cast<unsigned char>(taken[i])) << (8 * i);
  return value;
}

}  // namespace

uint64_t take_varint(std::string_view& bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < 10; ++i) {
    if (i == bytes.size()) cut_short();
    const auto byte = static_cast<unsigned char>(bytes[i]);
    if (i == 9 && byte > 1) throw Error("a number has more than 64 bits");
    value |= static_cast<uint64_t>(byte & 0x7F) << (7 * i);
    if (byte < 0x80) {
      bytes.remove_prefix(i + 1);
      return value;
    }
  }
  throw Error("a number has more than 64 bits");
}

bool WireReader::next(Field& field) {
  if (rest_.empty()) return false;
  const uint64_t tag = take_varint(rest_);
  const uint64_t number = tag >> 3;
  const auto rule = std::lower_bound(rules_.begin(), rules_.end(), number,
                                     [](const FieldRule& r, uint64_t n) { return r.number < n; });
  if (rule == rules_.end() || rule->number != number) throw Error(fmt::format("has an unknown field {}", number));
  const auto wire = static_cast<Wire>(tag & 7);
  const bool packed = rule->repeated && wire == Wire::bytes && rule->wire != Wire::bytes;
  if (wire != rule->wire && !packed) throw Error(fmt::format("the field {} is of wire type {}", rule->name, tag & 7));
  const uint64_t bit = uint64_t{1} << (rule - rules_.begin());
  if (!rule->repeated && (seen_ & bit) != 0) throw Error(fmt::format("the field {} is there twice", rule->name));
  seen_ |= bit;
  field = {&*rule, wire, 0, {}};
  switch (wire) {
    case Wire::varint:
      field.value = take_varint(rest_);
      break;
    case Wire::fixed64:
      field.value = take_fixed(rest_, 8);
      break;
    case Wire::fixed32:
      field.value = take_fixed(rest_, 4);
      break;
    case Wire::bytes:
      field.bytes = take(rest_, take_varint(rest_));
      break;
  }
  return true;
}

int64_t count_numbers(const Field& field) {
  if (field.wire != Wire::bytes) return 1;
  const std::string_view bytes = field.bytes;
  if (field.rule->wire == Wire::varint) {
    int64_t count = 0;
    for (std::string_view rest = bytes; !rest.empty(); ++count) take_varint(rest);
    return count;
  }
  const size_t size = field.rule->wire == Wire::fixed32 ? 4 : 8;
  if (bytes.size() % size != 0)
    throw Error(fmt::format("{} has {} bytes, no multiple of {}", field.rule->name, bytes.size(), size));
  return static_cast<int64_t>(bytes.size() / size);
}

int32_t as_int32(const Field& field) {
  const int64_t value = as_int64(field.value);
  if (value < std::numeric_limits<int32_t>::min() || value > std::numeric_limits<int32_t>::max()) {
    throw Error(fmt::format("{} is {}, which is no 32-bit number", field.rule->name, value));
  }
  return static_cast<int32_t>(value);
}

}  // namespace duan::onnx
