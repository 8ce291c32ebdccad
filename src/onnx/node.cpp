#include "onnx/node.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"
#include "onnx/wire.h"

namespace duan::onnx {
namespace {

constexpr size_t kMaxOperands = 4096, kMaxAttributes = 256;

constexpr FieldRule kNodeFields[] = {
    {1, "input", Wire::bytes, true},
    {2, "output", Wire::bytes, true},
    {3, "name", Wire::bytes},
    {4, "op_type", Wire::bytes},
    {5, "attribute", Wire::bytes, true},
    {6, "doc_string", Wire::bytes},
    {7, "domain", Wire::bytes},
    {8, "overload", Wire::bytes},
    {9, "metadata_props", Wire::bytes, true},
    {10, "device_configurations", Wire::bytes, true},
};

enum : uint32_t { kName = 1, kDocString = 13, kType = 20, kReference = 21 };
constexpr FieldRule kAttributeFields[] = {
    {1, "name", Wire::bytes},
    {2, "f", Wire::fixed32},
    {3, "i", Wire::varint},
    {4, "s", Wire::bytes},
    {5, "t", Wire::bytes},
    {6, "g", Wire::bytes},
    {7, "floats", Wire::fixed32, true},
    {8, "ints", Wire::varint, true},
    {9, "strings", Wire::bytes, true},
    {10, "tensors", Wire::bytes, true},
    {11, "graphs", Wire::bytes, true},
    {13, "doc_string", Wire::bytes},
    {14, "tp", Wire::bytes},
    {15, "type_protos", Wire::bytes, true},
    {20, "type", Wire::varint},
    {21, "ref_attr_name", Wire::bytes},
    {22, "sparse_tensor", Wire::bytes},
    {23, "sparse_tensors", Wire::bytes, true},
};
// The field that holds an attribute of each AttributeType; 0: refused.
constexpr uint32_t kFieldOfType[] = {0, 2, 3, 4, 5, 0, 7, 8, 9, 10, 0, 0, 0, 0, 0};

Attribute read_attribute(std::string_view message, int64_t& items) {
  Attribute attribute;
  uint32_t held = 0;
  int32_t type = 0;
  WireReader reader(message, kAttributeFields);
  for (Field field; reader.next(field);) {
    const uint32_t number = field.rule->number;
    if (number == kName) {
      check_name(attribute.name = field.bytes);
    } else if (number == kType) {
      type = as_int32(field);
    } else if (number == kReference) {
      throw Error("an attribute refers to one of a function");
    } else if (number != kDocString) {
      if (held != 0 && held != number) throw Error("an attribute holds values of two types");
      held = number;
      ++items;
      if (field.rule->wire != Wire::bytes) count_numbers(field);
      if (number == 3) attribute.number = as_int64(field.value), attribute.is_number = true;
      if (number == 5 || number == 10) check_tensor(field.bytes, {});
    }
  }
  const std::string shown = printable(attribute.name, 60);
  if (attribute.name.empty()) throw Error("an attribute has no name");
  if (held == 6 || held == 11) throw Error("its attribute \"" + shown + "\" is a graph; control flow is not supported");
  const bool known = type > 0 && type < static_cast<int32_t>(std::size(kFieldOfType)) && kFieldOfType[type] != 0;
  if (!known) throw Error(fmt::format("its attribute \"{}\" is of the type {}, which is not supported", shown, type));
  // Empty lists, zeros and empty strings may be left out.
  const bool may_be_empty = kFieldOfType[type] != 5;
  if (held != kFieldOfType[type] && (held != 0 || !may_be_empty)) {
    throw Error("its attribute \"" + shown + "\" is not of the type that it states");
  }
  return attribute;
}

// The dimensions of a weight in MatMulNBits. The count alone matters where rows may be written flat.
void require(bool fits, const char* what, const TensorFacts& weight) {
  if (fits) return;
  std::string dims;
  for (const int64_t dim : weight.dims) dims += fmt::format("{}{}", dims.empty() ? "" : ", ", dim);
  throw Error(fmt::format("its {} \"{}\" [{}] does not fit its attributes", what, printable(weight.name), dims));
}

}  // namespace

std::string Node::describe() const { return "\"" + printable(name) + "\" (" + printable(op_type, 60) + ")"; }

void read_node(std::string_view message, Node& node) {
  const auto add_operand = [&](std::vector<std::string_view>& to, std::string_view name) {
    check_name(name);
    if (to.size() == kMaxOperands) throw Error(fmt::format("has more than {} operands", kMaxOperands));
    to.push_back(name);
    ++node.items;
  };
  std::vector<std::string_view> attributes;
  WireReader reader(message, kNodeFields);
  for (Field field; reader.next(field);) {
    switch (field.rule->number) {
      case 1:
        add_operand(node.inputs, field.bytes);
        break;
      case 2:
        add_operand(node.outputs, field.bytes);
        break;
      case 3:
        check_name(node.name = field.bytes);
        break;
      case 4:
        check_name(node.op_type = field.bytes);
        break;
      case 5:
        attributes.push_back(field.bytes);
        break;
      case 7:
        check_name(node.domain = canonical_domain(field.bytes));
        break;
      case 8:
        if (!field.bytes.empty()) throw Error("names an overload; functions are not supported");
        break;
      case 9: {
        std::string_view key, value;
        read_entry(field.bytes, key, value);
        ++node.items;
        break;
      }
      case 10:
        throw Error("asks for a device");
      default:
        break;
    }
    if (attributes.size() > kMaxAttributes) throw Error(fmt::format("has more than {} attributes", kMaxAttributes));
  }
  if (node.op_type.empty()) throw Error("names no operator");
  for (const std::string_view attribute : attributes) {
    node.attributes.push_back(read_attribute(attribute, node.items));
    const std::string_view name = node.attributes.back().name;
    const auto same = [&](const Attribute& a) { return a.name == name; };
    if (std::count_if(node.attributes.begin(), node.attributes.end(), same) > 1) {
      throw Error("its attribute \"" + printable(name, 60) + "\" is there twice");
    }
  }
}

void check_operator(const Node& node) {
  constexpr std::array<std::string_view, 4> kControlFlow = {"If", "Loop", "Scan", "SequenceMap"};
  if (node.domain.empty()) {
    if (std::find(kControlFlow.begin(), kControlFlow.end(), node.op_type) != kControlFlow.end()) {
      throw Error("control flow is not supported");
    }
    return;
  }
  if (node.domain != "com.microsoft") {
    throw Error("its domain is \"" + printable(node.domain, 60) + "\"; known are ONNX's own and com.microsoft");
  }
  // Holds, or names a file with, code for a device.
  if (node.op_type == "EPContext") throw Error("compiled parts of models are not supported");
}

void check_shapes(const Node& node, const std::function<const TensorFacts*(std::string_view name)>& weight) {
  if (node.op_type != "MatMulNBits" || node.domain != "com.microsoft") return;
  const auto number = [&](std::string_view name, std::optional<int64_t> fallback) {
    const auto found = std::find_if(node.attributes.begin(), node.attributes.end(),
                                    [&](const Attribute& a) { return a.name == name; });
    if (found != node.attributes.end() && !found->is_number)
      throw Error(fmt::format("its attribute {} is no number", name));
    if (found == node.attributes.end() && !fallback) throw Error(fmt::format("it has no attribute {}", name));
    return found == node.attributes.end() ? *fallback : found->number;
  };
  const auto in_range = [&](std::string_view name, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high)
      throw Error(fmt::format("its attribute {} is {}, expected {} to {}", name, value, low, high));
  };
  const int64_t k = number("K", {}), n = number("N", {}), bits = number("bits", 4), block = number("block_size", {});
  in_range("K", k, 1, int64_t{1} << 31);
  in_range("N", n, 1, int64_t{1} << 31);
  in_range("bits", bits, 1, 8);
  in_range("block_size", block, 16, int64_t{1} << 16);
  const int64_t blocks = (k + block - 1) / block;
  const auto operand = [&](size_t index) { return node.inputs.size() > index ? weight(node.inputs[index]) : nullptr; };
  if (const TensorFacts* b = operand(1)) {
    require(b->dims == std::vector<int64_t>{n, blocks, (block * bits + 7) / 8}, "weight", *b);
  }
  if (const TensorFacts* scales = operand(2)) require(scales->elements() == n * blocks, "scales", *scales);
  if (const TensorFacts* zeros = operand(3)) {
    require(zeros->elements() == n * ((blocks * bits + 7) / 8) || zeros->elements() == n * blocks, "zero points",
            *zeros);
  }
  if (const TensorFacts* order = operand(4)) require(order->elements() >= k, "group index", *order);
  if (const TensorFacts* bias = operand(5)) require(bias->elements() == n, "bias", *bias);
}

}  // namespace duan::onnx
