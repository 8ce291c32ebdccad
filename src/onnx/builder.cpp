#include "onnx/builder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <bit>

#include "base/error.h"
#include "tensor/dtype.h"

namespace duan::onnx {
namespace {

static_assert(std::endian::native == std::endian::little, "raw_data is little-endian");

template <class T>
std::string_view bytes_of(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

void set(pb::AttributeProto& proto, const Attr& attribute) {
  proto.set_name(std::string(attribute.name));
  if (const auto* i = std::get_if<int64_t>(&attribute.value)) {
    proto.set_type(pb::AttributeProto::INT);
    proto.set_i(*i);
  } else if (const auto* f = std::get_if<float>(&attribute.value)) {
    proto.set_type(pb::AttributeProto::FLOAT);
    proto.set_f(*f);
  } else if (const auto* s = std::get_if<std::string>(&attribute.value)) {
    proto.set_type(pb::AttributeProto::STRING);
    proto.set_s(*s);
  } else {
    proto.set_type(pb::AttributeProto::INTS);
    for (const int64_t value : std::get<std::vector<int64_t>>(attribute.value)) proto.add_ints(value);
  }
}

void set(pb::ValueInfoProto& proto, const Name& name, int32_t type, const std::vector<IoDim>& dims) {
  proto.set_name(name);
  pb::TypeProto::Tensor& tensor = *proto.mutable_type()->mutable_tensor_type();
  tensor.set_elem_type(type);
  pb::TensorShapeProto& shape = *tensor.mutable_shape();
  for (const IoDim& dim : dims) {
    if (const auto* number = std::get_if<int64_t>(&dim)) {
      shape.add_dim()->set_dim_value(*number);
    } else {
      shape.add_dim()->set_dim_param(std::get<std::string>(dim));
    }
  }
}

}  // namespace

int32_t element_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return pb::TensorProto::FLOAT;
    case DType::f16:
      return pb::TensorProto::FLOAT16;
    default:
      DUAN_CHECK(dtype == DType::bf16, "no float: {}", dtype_name(dtype));
      return pb::TensorProto::BFLOAT16;
  }
}

size_t element_bytes(int32_t type) {
  switch (type) {
    case pb::TensorProto::FLOAT:
    case pb::TensorProto::INT32:
      return 4;
    case pb::TensorProto::FLOAT16:
      return 2;
    case pb::TensorProto::INT64:
      return 8;
    case pb::TensorProto::INT8:
    case pb::TensorProto::UINT8:
      return 1;
    default:
      DUAN_CHECK(false, "no size for element type {}", type);
  }
  return 0;
}

Builder::Builder() { model_.proto.mutable_graph(); }

void Builder::claim(const Name& name) { DUAN_CHECK(values_.insert(name).second, "two values are named {}", name); }

Name Builder::node(std::string_view op_type, const Name& name, const std::vector<Name>& inputs,
                   const std::vector<Attr>& attributes, std::string_view domain) {
  node(op_type, name, inputs, {name}, attributes, domain);
  return name;
}

void Builder::node(std::string_view op_type, const Name& name, const std::vector<Name>& inputs,
                   const std::vector<Name>& outputs, const std::vector<Attr>& attributes, std::string_view domain) {
  DUAN_CHECK(nodes_.insert(name).second, "two nodes are named {}", name);
  pb::NodeProto& proto = *graph().add_node();
  proto.set_name(name);
  proto.set_op_type(std::string(op_type));
  if (!domain.empty()) proto.set_domain(std::string(domain));
  for (const Name& input : inputs) {
    DUAN_CHECK(input.empty() || has(input), "{} reads {} before it is made", name, input);
    proto.add_input(input);
  }
  for (const Name& output : outputs) {
    if (!output.empty()) claim(output);
    proto.add_output(output);
  }
  for (const Attr& attribute : attributes) set(*proto.add_attribute(), attribute);
}

pb::TensorProto& Builder::add_tensor(const Name& name, int32_t type, const Shape& shape) {
  claim(name);
  pb::TensorProto& tensor = *graph().add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(type);
  for (const int64_t extent : shape) tensor.add_dims(extent);
  return tensor;
}

Name Builder::ints(const std::vector<int64_t>& values) {
  const Name name = fmt::format("const.i64.{}", fmt::join(values, "_"));
  if (!has(name)) {
    add_tensor(name, pb::TensorProto::INT64, {static_cast<int64_t>(values.size())})
        .set_raw_data(std::string(bytes_of(values)));
  }
  return name;
}

Name Builder::int_scalar(int64_t value) {
  const Name name = fmt::format("const.i64.scalar.{}", value);
  if (!has(name)) {
    add_tensor(name, pb::TensorProto::INT64, {}).set_raw_data(std::string(bytes_of(std::vector<int64_t>{value})));
  }
  return name;
}

Name Builder::float_scalar(float value, int32_t type) {
  const bool half = type == pb::TensorProto::FLOAT16;
  const Name name = fmt::format("const.{}.{}", half ? "f16" : "f32", value);
  if (!has(name)) {
    pb::TensorProto& tensor = add_tensor(name, type, {});
    if (half) {
      tensor.set_raw_data(std::string(bytes_of(std::vector<uint16_t>{float_to_f16(value)})));
    } else {
      tensor.set_raw_data(std::string(bytes_of(std::vector<float>{value})));
    }
  }
  return name;
}

Name Builder::byte_scalar(uint8_t value) {
  const Name name = fmt::format("const.u8.{}", value);
  if (!has(name)) add_tensor(name, pb::TensorProto::UINT8, {}).set_raw_data(std::string(1, static_cast<char>(value)));
  return name;
}

Name Builder::initializer(const Name& name, int32_t type, const Shape& shape, std::string_view bytes) {
  return initializer(name, type, shape, bytes.size(),
                     [content = std::string(bytes)](const ByteSink& sink) { sink(std::as_bytes(std::span(content))); });
}

Name Builder::initializer(const Name& name, int32_t type, const Shape& shape, uint64_t bytes,
                          std::function<void(const ByteSink&)> write) {
  pb::TensorProto& tensor = add_tensor(name, type, shape);
  if (bytes > kInlineBytes) {
    tensor.set_data_location(pb::TensorProto::EXTERNAL);
    model_.external.push_back({graph().initializer_size() - 1, bytes, std::move(write)});
    return name;
  }
  std::string& raw = *tensor.mutable_raw_data();
  write(
      [&](std::span<const std::byte> piece) { raw.append(reinterpret_cast<const char*>(piece.data()), piece.size()); });
  DUAN_CHECK(raw.size() == bytes, "initializer {} has {} bytes, expected {}", name, raw.size(), bytes);
  return name;
}

void Builder::input(const Name& name, int32_t type, const std::vector<IoDim>& dims) {
  if (!has(name)) claim(name);  // an input with an initializer is one that may be left out
  set(*graph().add_input(), name, type, dims);
}

void Builder::output(const Name& name, int32_t type, const std::vector<IoDim>& dims) {
  DUAN_CHECK(has(name), "output {} is never made", name);
  set(*graph().add_output(), name, type, dims);
}

void Builder::describe(const Name& name, int32_t type, const std::vector<IoDim>& dims) {
  DUAN_CHECK(has(name), "{} is never made", name);
  set(*graph().add_value_info(), name, type, dims);
}

}  // namespace duan::onnx
