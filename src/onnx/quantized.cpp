// Products with quantized weights, and lookups of their rows: the forms that ONNX Runtime runs on its integer kernels.
//
// int8 codes stand in the file as the checkpoint has them, [out, in], for the embedding to gather rows of and for the
// head to multiply with; the transposition that a product needs is a node, made once when the model is loaded. Codes of
// 4 bits are transposed here: loaders turn them slowly, if at all. Scales keep the checkpoint's dtype: half the bytes,
// and exactly its numbers.
#include <fmt/format.h>

#include <limits>

#include "base/error.h"
#include "onnx/lowering.h"
#include "tensor/dtype.h"

namespace duan::onnx {
namespace {

constexpr int32_t kF32 = pb::TensorProto::FLOAT, kI8 = pb::TensorProto::INT8, kU8 = pb::TensorProto::UINT8;
constexpr int64_t kSignBit = 128;

std::string module_of(const Weight& weight) { return weight.name.substr(0, weight.name.rfind('.')); }

int64_t groups_of(const Weight& weight, const IntGroup& format) { return weight.columns() / format.group_size; }

// [rows, groups]; [rows] if a row is one group, which DequantizeLinear takes as scales of an axis.
Shape scale_shape(const Weight& weight, const IntGroup& format) {
  const int64_t groups = groups_of(weight, format);
  return groups == 1 ? Shape{weight.rows()} : Shape{weight.rows(), groups};
}

// The sizes of groups that ONNX Runtime's operators for blocks take.
bool is_block(int64_t size) { return size == 16 || size == 32 || size == 64 || size == 128 || size == 256; }

std::vector<Attr> to(int32_t type) { return {{"to", int64_t{type}}}; }
std::vector<Attr> axis(int64_t number) { return {{"axis", number}}; }

}  // namespace

// Parts of weights.

Name Lowering::int8_codes(const Weight& weight, const std::byte* codes, bool biased) {
  const Name name = biased ? module_of(weight) + ".weight_packed" : weight.name;
  if (b_.has(name)) return name;
  const auto bytes = static_cast<size_t>(weight.rows() * weight.columns());
  return b_.initializer(name, kI8, weight.shape, bytes, [=, &checkpoint = checkpoint_](const ByteSink& sink) {
    const std::span<const std::byte> all(codes, bytes);
    biased ? stream_int8_of_biased(all, checkpoint, sink) : stream_stored(all, checkpoint, sink);
  });
}

Name Lowering::transposed(const Name& x) {
  const Name name = x + "/columns";
  return b_.has(name) ? name : b_.node("Transpose", name, {x}, {{"perm", std::vector<int64_t>{1, 0}}});
}

Name Lowering::scales(const Weight& weight, const Dense& stored, const Shape& shape) {
  const Name name = module_of(weight) + ".weight_scale";
  if (b_.has(name)) return name;
  const auto bytes = static_cast<size_t>(*element_count(shape)) * dtype_size(stored.dtype);
  return b_.initializer(name, element_type(stored.dtype), shape, bytes,
                        [=, &checkpoint = checkpoint_](const ByteSink& sink) {
                          stream_stored(std::span(stored.data, bytes), checkpoint, sink);
                        });
}

Name Lowering::f32_scales(const Weight& weight, const Dense& stored, const Shape& shape) {
  const Name as_stored = scales(weight, stored, shape), name = as_stored + "/f32";
  if (stored.dtype == DType::f32) return as_stored;
  return b_.has(name) ? name : b_.node("Cast", name, {as_stored}, to(kF32));
}

Name Lowering::blocks(const Weight& weight, const IntGroup& format) {
  const Name name = module_of(weight) + ".weight_packed";
  if (b_.has(name)) return name;
  const int64_t block_bytes = format.group_size * format.bits / 8;
  const Shape shape{weight.rows(), groups_of(weight, format), block_bytes};
  const auto bytes = static_cast<size_t>(*element_count(shape));
  return b_.initializer(name, kU8, shape, bytes, [=, &checkpoint = checkpoint_](const ByteSink& sink) {
    stream_stored(std::span(format.codes, bytes), checkpoint, sink);
  });
}

// ONNX Runtime 1.31, asked for exact int8 products, makes int8 weights unsigned, also those that meet no rounded input,
// and gives them a zero point of a shape that it then refuses, unless they have one already, each its own.
Name Lowering::no_zero_points(const Weight& weight) {
  const Name name = module_of(weight) + ".weight_zero_point";
  return b_.has(name) ? name
                      : b_.initializer(name, kI8, {weight.rows()}, std::string(static_cast<size_t>(weight.rows()), 0));
}

// Of a symmetric weight: zeros, for the reason of no_zero_points.
Name Lowering::zero_points(const Weight& weight, const IntGroup& format, ZeroPoints form) {
  const int64_t rows = weight.rows(), columns = weight.columns(), groups = groups_of(weight, format);
  Name name = module_of(weight) + ".weight_zero_point";
  int32_t type = kU8;
  Shape shape;
  switch (form) {
    case ZeroPoints::by_group:
      type = format.bits == 4 ? pb::TensorProto::INT4 : kI8;
      shape = groups == 1 ? Shape{rows} : Shape{groups, rows};
      break;
    case ZeroPoints::packed:
      shape = {rows, (groups * format.bits + 7) / 8};
      break;
    case ZeroPoints::bytes:
      name += "/bytes";
      shape = {rows, groups, 1};
      break;
  }
  if (b_.has(name)) return name;
  return b_.initializer(name, type, shape, zero_point_bytes(format, rows, columns, form),
                        [=](const ByteSink& sink) { stream_zero_points(format, rows, columns, form, sink); });
}

// Inputs, rounded once for all the products that read them.

// A zero point 128 higher makes the codes unsigned, and saturation at 0 and 255 is the clamp to int8: products of
// unsigned with signed codes are the ones that have fast kernels.
Name Lowering::rounded_fixed(const Name& x, const InputScheme& scheme) {
  const Name codes = fmt::format("{}/u8_{}_{}", x, scheme.scale, scheme.zero_point), name = codes + "/f32";
  if (b_.has(name)) return name;
  const Name scale = b_.float_scalar(scheme.scale, kF32);
  const Name zero = b_.byte_scalar(static_cast<uint8_t>(scheme.zero_point + kSignBit));
  b_.node("QuantizeLinear", codes, {x, scale, zero});
  return b_.node("DequantizeLinear", name, {codes, scale, zero});
}

std::pair<Name, Name> Lowering::rounded_dynamic(const Name& x) {
  const Name codes = x + "/u8", scale = x + "/row_scale";
  if (!b_.has(codes)) {
    const Name largest = b_.node("ReduceMax", x + "/largest", {b_.node("Abs", x + "/abs", {x}), b_.ints({-1})},
                                 {{"keepdims", int64_t{1}}});
    const Name plain = b_.node("Div", x + "/plain_scale", {largest, b_.float_scalar(127.5f, kF32)});
    // A row of zeros must not become 0 / 0.
    b_.node("Max", scale, {plain, b_.float_scalar(std::numeric_limits<float>::min(), kF32)});
    const Name scaled = b_.node("Div", x + "/scaled", {x, scale});
    b_.node("QuantizeLinear", codes, {scaled, b_.float_scalar(1, kF32), b_.byte_scalar(kSignBit)});
  }
  return {codes, scale};
}

// Products.

Name Lowering::product(const Name& x, const Weight& weight, const Int8Channel& format) {
  const Name& name = node_->name;
  const Name columns = transposed(int8_codes(weight, format.codes, false));
  const Name scale = f32_scales(weight, format.scales, {weight.rows()});
  int8_products_ = int8_products_ || format.input.rounding != InputRounding::none;
  if (format.input.rounding == InputRounding::dynamic) {
    const auto [codes, row_scale] = rounded_dynamic(x);
    const Name sums = b_.node("MatMulInteger", name + "/sums", {codes, columns, b_.byte_scalar(kSignBit)});
    const Name floats = b_.node("Cast", name + "/f32", {sums}, to(kF32));
    return b_.node("Mul", name, {floats, b_.node("Mul", name + "/scale", {row_scale, scale})});
  }
  std::vector<Name> parts{columns, scale};
  const bool fixed = format.input.rounding == InputRounding::fixed;
  if (!fixed) parts.push_back(no_zero_points(weight));
  const Name numbers = b_.node("DequantizeLinear", name + "/weight", parts, axis(1));
  return b_.node("MatMul", name, {fixed ? rounded_fixed(x, format.input) : x, numbers});
}

Name Lowering::product_of_blocks(const Name& x, const Weight& weight, const IntGroup& format) {
  std::vector<Name> inputs{x, blocks(weight, format), f32_scales(weight, format.scales, scale_shape(weight, format))};
  if (format.zero_points != nullptr) inputs.push_back(zero_points(weight, format, ZeroPoints::packed));
  // Accuracy level 4 rounds the input to int8, block by block: without it the kernels are many times slower.
  b_.node("MatMulNBits", node_->name, inputs,
          {{"K", weight.columns()},
           {"N", weight.rows()},
           {"bits", int64_t{format.bits}},
           {"block_size", format.group_size},
           {"accuracy_level", int64_t{4}}},
          kMicrosoft);
  b_.describe(node_->name, kF32, {node_->name + "/rows", weight.rows()});
  return node_->name;
}

Name Lowering::product(const Name& x, const Weight& weight, const IntGroup& format) {
  if (options_.dialect == Dialect::ort && is_block(format.group_size)) return product_of_blocks(x, weight, format);
  const Name& name = node_->name;
  const int64_t rows = weight.rows(), columns = weight.columns();
  const bool one_group = groups_of(weight, format) == 1;
  Name codes;
  if (format.bits == 8) {
    codes = transposed(int8_codes(weight, format.codes, true));
  } else if (codes = module_of(weight) + ".weight_packed"; !b_.has(codes)) {
    b_.initializer(codes, pb::TensorProto::INT4, {columns, rows}, static_cast<uint64_t>((rows * columns + 1) / 2),
                   [=, &checkpoint = checkpoint_](const ByteSink& sink) {
                     stream_int4_columns(format, rows, columns, checkpoint, sink);
                   });
  }
  const Name scale = f32_scales(weight, format.scales, scale_shape(weight, format));
  std::vector<Name> inputs{codes, one_group ? scale : transposed(scale)};
  if (format.zero_points != nullptr || format.bits == 8) {
    inputs.push_back(zero_points(weight, format, ZeroPoints::by_group));
  }
  const std::vector<Attr> by_block{{"axis", int64_t{0}}, {"block_size", format.group_size}};
  return b_.node("MatMul", name,
                 {x, b_.node("DequantizeLinear", name + "/weight", inputs, one_group ? axis(1) : by_block)});
}

// Lookups.

Name Lowering::lookup(const Name& ids, const Weight& weight, const Int8Channel& format) {
  const Name& name = node_->name;
  const auto rows = [&](const Name& of, const char* which) {
    return b_.node("Gather", name + which, {of, ids}, axis(0));
  };
  const auto f32 = [&](const Name& x) { return b_.node("Cast", x + "_f32", {x}, to(kF32)); };
  const Name codes = f32(rows(int8_codes(weight, format.codes, false), "/codes"));
  Name scale = rows(scales(weight, format.scales, {weight.rows()}), "/scales");
  if (format.scales.dtype != DType::f32) scale = f32(scale);
  return b_.node("Mul", name, {codes, b_.node("Unsqueeze", name + "/scale_of_row", {scale, b_.ints({-1})})});
}

Name Lowering::lookup_of_blocks(const Name& ids, const Weight& weight, const IntGroup& format) {
  const Name& name = node_->name;
  const int64_t rows = weight.rows(), groups = groups_of(weight, format);
  const Name scale = f32_scales(weight, format.scales, scale_shape(weight, format));
  const Name scales = b_.node("Reshape", name + "/scales", {scale, b_.ints({rows, groups, 1})});
  std::vector<Name> inputs{blocks(weight, format), ids, scales};
  if (format.zero_points != nullptr) inputs.push_back(zero_points(weight, format, ZeroPoints::bytes));
  const Name found = b_.node("GatherBlockQuantized", name + "/blocks", inputs,
                             {{"bits", int64_t{format.bits}},
                              {"block_size", format.group_size},
                              {"gather_axis", int64_t{0}},
                              {"quantize_axis", int64_t{2}}},
                             kMicrosoft);
  b_.describe(found, kF32, {name + "/rows", groups, format.group_size});
  return b_.node("Reshape", name, {found, b_.ints({-1, weight.columns()})});
}

Name Lowering::lookup(const Name& ids, const Weight& weight, const IntGroup& format) {
  if (options_.dialect == Dialect::ort && is_block(format.group_size)) return lookup_of_blocks(ids, weight, format);
  const Name& name = node_->name;
  const auto rows = [&](const Name& of, const std::string& which) {
    return b_.node("Gather", name + which, {of, ids}, axis(0));
  };
  const auto f32 = [&](const Name& x) { return b_.node("Cast", x + "_f32", {x}, to(kF32)); };
  Name codes;
  if (format.bits == 8) {
    codes = rows(int8_codes(weight, format.codes, true), "/codes");
  } else {  // bytes of two codes, which no operator takes apart
    const Name stored = module_of(weight) + ".weight_packed/bytes";
    const auto bytes = static_cast<size_t>(weight.rows() * weight.columns() / 2);
    b_.initializer(stored, kU8, {weight.rows(), weight.columns() / 2}, bytes,
                   [=, &checkpoint = checkpoint_](const ByteSink& sink) {
                     stream_stored(std::span(format.codes, bytes), checkpoint, sink);
                   });
    const Name pairs = b_.node("Unsqueeze", name + "/pairs", {rows(stored, "/bytes"), b_.ints({-1})});
    const Name low = b_.node("BitwiseAnd", name + "/low", {pairs, b_.byte_scalar(15)});
    const Name high = b_.node("BitShift", name + "/high", {pairs, b_.byte_scalar(4)}, {{"direction", "RIGHT"}});
    codes = b_.node("Concat", name + "/codes", {low, high}, axis(-1));
  }
  // Codes of 4 bits are still stored plus 8 here, those of 8 bits are not; zero points are, all of them.
  Name values =
      b_.node("Reshape", name + "/groups", {f32(codes), b_.ints({-1, groups_of(weight, format), format.group_size})});
  if (format.zero_points != nullptr) {
    Name zero = f32(rows(zero_points(weight, format, ZeroPoints::bytes), "/zero"));
    if (format.bits == 8) zero = b_.node("Sub", zero + "_signed", {zero, b_.float_scalar(kSignBit, kF32)});
    values = b_.node("Sub", name + "/from_zero", {values, zero});
  } else if (format.bits == 4) {
    values = b_.node("Sub", name + "/from_zero", {values, b_.float_scalar(8, kF32)});
  }
  Name scale = rows(scales(weight, format.scales, scale_shape(weight, format)), "/scales");
  if (format.scales.dtype != DType::f32) scale = f32(scale);
  const Name by_group =
      b_.node("Reshape", name + "/scales_by_group", {scale, b_.ints({-1, groups_of(weight, format), 1})});
  const Name scaled = b_.node("Mul", name + "/scaled", {values, by_group});
  return b_.node("Reshape", name, {scaled, b_.ints({-1, weight.columns()})});
}

}  // namespace duan::onnx
