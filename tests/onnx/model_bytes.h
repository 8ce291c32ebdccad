// ONNX files written field by field, so that they can be wrong in any place.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace duan::test {

// A protobuf message under construction.
class Message {
 public:
  Message& number(uint32_t field, uint64_t value);  // a varint
  Message& float32(uint32_t field, float value);
  Message& bytes(uint32_t field, const std::string& value);
  Message& raw(const std::string& anything);
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string varint(uint64_t value);

inline constexpr uint64_t kFloat = 1, kUint8 = 2, kInt64 = 7;  // TensorProto.DataType

Message tensor(const std::string& name, uint64_t type, const std::vector<int64_t>& dims);  // without data
std::string tensor(const std::string& name, uint64_t type, const std::vector<int64_t>& dims, const std::string& raw);
std::string external_tensor(const std::string& name, uint64_t type, const std::vector<int64_t>& dims,
                            const std::vector<std::pair<std::string, std::string>>& entries);
std::string external_tensor(const std::string& name, const std::string& location);  // 4 floats at offset 0
std::string value_info(const std::string& name, uint64_t type, const std::vector<int64_t>& dims);
std::string attribute(const std::string& name, int64_t number);
Message node(const std::string& op_type, const std::vector<std::string>& inputs,
             const std::vector<std::string>& outputs, const std::string& name = "the_node");
Message node_of(const std::string& domain, const std::string& op_type, const std::vector<std::string>& inputs,
                const std::vector<std::string>& outputs);

// y = x + w, four floats each: a model that is right. Change what it should have wrong.
struct ModelBytes {
  ModelBytes();

  uint64_t ir_version = 10;
  std::vector<std::string> opsets, nodes, weights, inputs, outputs;
  Message graph_extra, model_extra;

  std::string graph() const;
  std::string text() const;
};

std::string opset(const std::string& domain, uint64_t version);

}  // namespace duan::test
