#include "onnx/model_bytes.h"

#include <bit>

namespace duan::test {
namespace {

std::string tag(uint32_t field, uint32_t wire) { return varint(uint64_t{field} << 3 | wire); }

}  // namespace

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}

Message& Message::number(uint32_t field, uint64_t value) { return raw(tag(field, 0) + varint(value)); }
Message& Message::float32(uint32_t field, float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  raw(tag(field, 5));
  for (int i = 0; i < 4; ++i) text_ += static_cast<char>(bits >> (8 * i));
  return *this;
}
Message& Message::bytes(uint32_t field, const std::string& value) {
  return raw(tag(field, 2) + varint(value.size()) + value);
}
Message& Message::raw(const std::string& anything) {
  text_ += anything;
  return *this;
}

Message tensor(const std::string& name, uint64_t type, const std::vector<int64_t>& dims) {
  Message message;
  for (const int64_t dim : dims) message.number(1, static_cast<uint64_t>(dim));
  return message.number(2, type).bytes(8, name);
}
std::string tensor(const std::string& name, uint64_t type, const std::vector<int64_t>& dims, const std::string& raw) {
  return tensor(name, type, dims).bytes(9, raw).text();
}
std::string external_tensor(const std::string& name, uint64_t type, const std::vector<int64_t>& dims,
                            const std::vector<std::pair<std::string, std::string>>& entries) {
  Message message = tensor(name, type, dims);
  for (const auto& [key, value] : entries) message.bytes(13, Message().bytes(1, key).bytes(2, value).text());
  return message.number(14, 1).text();
}
std::string external_tensor(const std::string& name, const std::string& location) {
  return external_tensor(name, kFloat, {4}, {{"location", location}, {"offset", "0"}, {"length", "16"}});
}

std::string value_info(const std::string& name, uint64_t type, const std::vector<int64_t>& dims) {
  Message shape;
  for (const int64_t dim : dims) shape.bytes(1, Message().number(1, static_cast<uint64_t>(dim)).text());
  const std::string tensor_type = Message().number(1, type).bytes(2, shape.text()).text();
  return Message().bytes(1, name).bytes(2, Message().bytes(1, tensor_type).text()).text();
}

std::string attribute(const std::string& name, int64_t number) {
  return Message().bytes(1, name).number(3, static_cast<uint64_t>(number)).number(20, 2).text();
}

Message node(const std::string& op_type, const std::vector<std::string>& inputs,
             const std::vector<std::string>& outputs, const std::string& name) {
  Message message;
  for (const std::string& input : inputs) message.bytes(1, input);
  for (const std::string& output : outputs) message.bytes(2, output);
  return message.bytes(3, name).bytes(4, op_type);
}
Message node_of(const std::string& domain, const std::string& op_type, const std::vector<std::string>& inputs,
                const std::vector<std::string>& outputs) {
  return node(op_type, inputs, outputs).bytes(7, domain);
}

std::string opset(const std::string& domain, uint64_t version) {
  return Message().bytes(1, domain).number(2, version).text();
}

ModelBytes::ModelBytes()
    : opsets{opset("", 21), opset("com.microsoft", 1)},
      nodes{node("Add", {"x", "w"}, {"y"}).text()},
      weights{tensor("w", kFloat, {4}, std::string(16, '\0'))},
      inputs{value_info("x", kFloat, {4})},
      outputs{value_info("y", kFloat, {4})} {}

std::string ModelBytes::graph() const {
  Message message;
  for (const std::string& n : nodes) message.bytes(1, n);
  message.bytes(2, "graph");
  for (const std::string& weight : weights) message.bytes(5, weight);
  for (const std::string& input : inputs) message.bytes(11, input);
  for (const std::string& output : outputs) message.bytes(12, output);
  return message.raw(graph_extra.text()).text();
}

std::string ModelBytes::text() const {
  Message message;
  message.number(1, ir_version).bytes(7, graph());
  for (const std::string& o : opsets) message.bytes(8, o);
  return message.raw(model_extra.text()).text();
}

}  // namespace duan::test
