// Embeddings and linear layers of plain weights; quantized.cpp has those of quantized ones.
#include "base/error.h"
#include "onnx/lowering.h"
#include "onnx/weights.h"

namespace duan::onnx {

// Where size matters so much that weights are quantized, those that are not keep the checkpoint's dtype, too.
Name Lowering::dense(ir::WeightId id) {
  const ir::WeightInfo& info = graph_.weight(id);
  if (b_.has(info.name)) return info.name;
  const Weight weight = checkpoint_.weight(info.name, info.shape);
  // What is quantized is a matrix or an embedding, which come not here; the checkpoint refuses all else.
  const auto* dense = std::get_if<Dense>(&weight.format);
  DUAN_CHECK(dense != nullptr, "{} is stored as {}", info.name, format_name(weight.format));
  Shape shape = info.shape;  // of a convolution's kernel, that of the matrix it is
  if (shape.size() > 2) shape = {shape[0], *element_count(shape) / shape[0]};
  if (keeps_dtypes_) {
    const std::span<const std::byte> bytes(dense->data, weight.bytes());
    return b_.initializer(
        info.name, element_type(dense->dtype), shape, bytes.size(),
        [bytes, &checkpoint = checkpoint_](const ByteSink& sink) { stream_stored(bytes, checkpoint, sink); });
  }
  const uint64_t bytes = static_cast<uint64_t>(*element_count(shape)) * element_bytes(float_type_);
  return b_.initializer(info.name, float_type_, shape, bytes,
                        [weight, &checkpoint = checkpoint_, precision = options_.precision](const ByteSink& sink) {
                          stream_dense(weight, precision, checkpoint, sink);
                        });
}

Name Lowering::as_activation(const Name& x, ir::WeightId weight) {
  const ir::WeightInfo& info = graph_.weight(weight);
  if (!keeps_dtypes_) return x;
  const Weight stored = checkpoint_.weight(info.name, info.shape);
  if (element_type(std::get<Dense>(stored.format).dtype) == float_type_) return x;
  const Name name = x + "/f32";
  return b_.has(name) ? name : b_.node("Cast", name, {x}, {{"to", int64_t{float_type_}}});
}

Name Lowering::weight(ir::WeightId id) { return as_activation(dense(id), id); }

// Quantized products and lookups are computed in fp32 whatever the precision of activations: their scales are fp32, and
// so are ONNX Runtime's kernels.
Name Lowering::to_f32(const Name& x) {
  if (float_type_ == pb::TensorProto::FLOAT) return x;
  const Name name = x + "/as_f32";
  return b_.has(name) ? name : b_.node("Cast", name, {x}, {{"to", int64_t{pb::TensorProto::FLOAT}}});
}

// The bias of a quantized product. Not Add(y, bias): ONNX Runtime 1.31 would join it with the product, and then compute
// on floats (static inputs) or something else (dynamic inputs, a fault of its MatMulIntegerToFloat).
Name Lowering::with_bias(const Name& y, ir::WeightId bias) {
  const Name negative = b_.node("Neg", node_->name + "/negative_bias", {weight(bias)});
  return b_.node("Sub", node_->name + "/biased", {y, negative});
}

void Lowering::lower(const ir::Embed& op) {
  const ir::WeightInfo& info = graph_.weight(op.weight);
  const Weight stored = checkpoint_.weight(info.name, info.shape);
  const Name ids = flat_ids(node_->inputs[0]);
  const auto quantized = [&](const auto& format) {
    out(to_activation(node_->name + "/f16", lookup(ids, stored, format)));
  };
  if (const auto* channels = std::get_if<Int8Channel>(&stored.format)) return quantized(*channels);
  if (const auto* groups = std::get_if<IntGroup>(&stored.format)) return quantized(*groups);
  out(as_activation(b_.node("Gather", node_->name, {dense(op.weight), ids}, {{"axis", int64_t{0}}}), op.weight));
}

// The last num_logits_to_keep tokens of [batch * tokens, width]. What the other tokens would say is the larger part of
// a long prompt's logits, and seldom read.
Name Lowering::last_tokens(const Name& x) {
  const Name apart = b_.node("Reshape", x + "/tokens", {x, batch_tokens_and({-1})});
  Name start = b_.ints({-1});
  if (options_.logits == Logits::all) {
    // -0 is 0: from the first token on.
    const Name keep = b_.node("Reshape", "num_logits_to_keep/vector", {"num_logits_to_keep", b_.ints({1})});
    start = b_.node("Neg", "num_logits_to_keep/start", {keep});
  }
  const Name kept =
      b_.node("Slice", x + "/kept", {apart, start, b_.ints({std::numeric_limits<int64_t>::max()}), b_.ints({1})});
  const int64_t width = dims(node_->inputs[0]).back().extent;
  return b_.node("Reshape", x + "/kept_rows", {kept, b_.ints({-1, width})});
}

void Lowering::lower(const ir::Linear& op) {
  const ir::WeightInfo& info = graph_.weight(op.weight);
  const Weight stored = checkpoint_.weight(info.name, info.shape);
  const Name x = part_ == Part::decoder && is_output(node_->output) ? last_tokens(in(0)) : in(0);
  const auto quantized = [&](const auto& format) {
    Name y = to_activation(node_->name + "/f16", product(to_f32(x), stored, format));
    if (op.bias) y = with_bias(y, *op.bias);
    out(y);
  };
  if (const auto* channels = std::get_if<Int8Channel>(&stored.format)) return quantized(*channels);
  if (const auto* groups = std::get_if<IntGroup>(&stored.format)) return quantized(*groups);
  std::vector<Name> inputs{x, weight(op.weight)};
  if (op.bias) inputs.push_back(weight(*op.bias));
  out(b_.node("Gemm", node_->name, inputs, {{"transB", int64_t{1}}}));
}

}  // namespace duan::onnx
