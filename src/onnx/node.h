// Checking a NodeProto: its operator, its attributes and how they fit its weights.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "onnx/tensor.h"

namespace duan::onnx {

struct Attribute {
  std::string_view name;
  int64_t number = 0;  // of an integer attribute
  bool is_number = false;
};

struct Node {
  std::string_view name, op_type;
  std::string_view domain;  // canonical
  std::vector<std::string_view> inputs, outputs;
  std::vector<Attribute> attributes;
  int64_t items = 0;  // messages and strings within

  std::string describe() const;  // "name" (op_type)
};

// ONNX's own domain has two names; here it is "".
inline std::string_view canonical_domain(std::string_view domain) { return domain == "ai.onnx" ? "" : domain; }

// Fills `node` as it goes, so that an Error's context can name it. Throws Error: malformed, no operator, attributes
// that are there twice, hold another type than they state, hold graphs, sparse tensors or types, or refer to a
// function's.
void read_node(std::string_view message, Node& node);

// Throws Error unless the operator is ONNX's or com.microsoft's, and no control flow or foreign compiled code.
void check_operator(const Node& node);

// Throws Error if MatMulNBits has other weights than its attributes say. `weight` gives an initializer, or nullptr.
void check_shapes(const Node& node, const std::function<const TensorFacts*(std::string_view name)>& weight);

}  // namespace duan::onnx
