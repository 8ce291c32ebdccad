// Assembles an ONNX graph: nodes, shared constants, weights as initializers. Every method that makes a value returns
// its name. Names given must be new; a clash is a bug.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <variant>
#include <vector>

#include "onnx/model.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace duan::onnx {

using Name = std::string;

struct Attr {
  std::string_view name;
  std::variant<int64_t, float, std::string, std::vector<int64_t>> value;
};

// A dimension of a graph input or output: a number or a symbol.
using IoDim = std::variant<int64_t, std::string>;

inline constexpr uint64_t kInlineBytes = 1024;  // initializers up to this size stay in model.onnx

class Builder {
 public:
  Builder();

  // One node with one output, which has the node's name.
  Name node(std::string_view op_type, const Name& name, const std::vector<Name>& inputs,
            const std::vector<Attr>& attributes = {}, std::string_view domain = "");
  // One node with any outputs; "" leaves an optional input or output out.
  void node(std::string_view op_type, const Name& name, const std::vector<Name>& inputs,
            const std::vector<Name>& outputs, const std::vector<Attr>& attributes, std::string_view domain);

  // Constants, made once per content.
  Name ints(const std::vector<int64_t>& values);  // i64 [n]
  Name int_scalar(int64_t value);                 // i64 []
  Name float_scalar(float value, int32_t type);   // f32 or f16 []
  Name byte_scalar(uint8_t value);                // u8 []

  // An initializer of known content (inline if small), or one whose bytes are written later.
  Name initializer(const Name& name, int32_t type, const Shape& shape, std::string_view bytes);
  Name initializer(const Name& name, int32_t type, const Shape& shape, uint64_t bytes,
                   std::function<void(const ByteSink&)> write);
  bool has(const Name& name) const { return values_.contains(name); }

  void input(const Name& name, int32_t type, const std::vector<IoDim>& dims);
  void output(const Name& name, int32_t type, const std::vector<IoDim>& dims);
  // States the type of a value whose operator the standard's shape inference does not know.
  void describe(const Name& name, int32_t type, const std::vector<IoDim>& dims);

  pb::GraphProto& graph() { return *model_.proto.mutable_graph(); }
  Model take() { return std::move(model_); }
  pb::ModelProto& proto() { return model_.proto; }

 private:
  pb::TensorProto& add_tensor(const Name& name, int32_t type, const Shape& shape);
  void claim(const Name& name);

  Model model_;
  std::unordered_set<std::string> values_, nodes_;
};

// Of numbers stored as f32, f16 or bf16.
int32_t element_type(DType dtype);

// Bytes of one element: f32, f16, i64, i32, i8, u8; DUAN_CHECKs that it is one of them.
size_t element_bytes(int32_t type);

}  // namespace duan::onnx
