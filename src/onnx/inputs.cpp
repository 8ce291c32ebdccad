// The inputs and outputs of the ONNX graph, and what is computed from the inputs once for all layers.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "onnx/lowering.h"

namespace duan::onnx {
namespace {

constexpr int32_t kI64 = pb::TensorProto::INT64, kI32 = pb::TensorProto::INT32, kF32 = pb::TensorProto::FLOAT,
                  kBool = pb::TensorProto::BOOL;
constexpr const char* kMask = "attention_mask";
constexpr const char* kKeep = "num_logits_to_keep";

}  // namespace

void Lowering::declare_inputs() {
  for (const ir::Node& node : graph_.nodes) {
    if (std::holds_alternative<ir::Embed>(node.op)) ids_ = node.inputs[0];
    if (std::holds_alternative<ir::Angles>(node.op)) positions_ = node.inputs[0];
  }
  if (part_ == Part::tower) return declare_tower_inputs();
  DUAN_CHECK(ids_ >= 0, "graph {} embeds no ids", graph_.name);
  if (part_ == Part::decoder) return declare_decoder_inputs();
  tokens_ = graph_.value(ids_).name;
  b_.input(tokens_, kI64, {kBatch, kTokens});
}

void Lowering::declare_decoder_inputs() {
  std::vector<ir::ValueId> deepstack;
  int64_t width = 0;  // of the rows of a decoder that sees images
  for (const ir::Node& node : graph_.nodes) {
    if (std::holds_alternative<ir::PutRows>(node.op)) width = dims(node.output).back().extent;
  }
  for (const ir::ValueId id : graph_.inputs) {
    const std::string& name = graph_.value(id).name;
    if (name.starts_with(ir::kDeepstackEmbeds)) {
      deepstack.push_back(id);
    } else {
      DUAN_CHECK(id == ids_ || id == positions_ || name == ir::kImageMask || name == ir::kImageEmbeds,
                 "input {} is no decoder's", name);
    }
  }
  if (sees_images_) {
    tokens_ = kInputsEmbeds;
    b_.input(tokens_, kF32, {kBatch, kTokens, width});
  } else {
    tokens_ = graph_.value(ids_).name;
    b_.input(tokens_, kI64, {kBatch, kTokens});
  }
  b_.input(kMask, kI64, {kBatch, total_symbol()});
  if (sees_images_) {
    b_.input(graph_.value(positions_).name, kI64, {dims(positions_).back().extent, kBatch, kTokens});
  } else if (positions_ >= 0 && options_.kv_cache && options_.dialect != Dialect::ort) {
    b_.input(graph_.value(positions_).name, kI64, {kBatch, kTokens});
  }
  for (const ir::ValueId id : deepstack) {
    const std::string& name = graph_.value(id).name;
    b_.input(name, kF32, {kBatch, kTokens, width});
    names_[static_cast<size_t>(id)] = flat_rows(name, width);
  }
  for (const ir::Node& node : graph_.nodes) {
    const auto* op = std::get_if<ir::Attention>(&node.op);
    if (op == nullptr || !options_.kv_cache) continue;
    const ir::Dims& k = dims(node.inputs[1]);
    for (const char* which : {"key", "value"}) {
      b_.input(past(*op, which), float_type_, {kBatch, k[2].extent, kPast, k[3].extent});
    }
  }
  if (options_.logits == Logits::all) {
    const int64_t all = 0;
    b_.initializer(kKeep, kI64, {}, std::string_view(reinterpret_cast<const char*>(&all), sizeof all));
    b_.input(kKeep, kI64, {});
  }
}

void Lowering::declare_outputs() {
  const auto as_f32 = [&](const Name& x, const Name& name) {
    b_.node("Cast", name, {x}, {{"to", int64_t{kF32}}});  // of f32, nothing
  };
  if (part_ == Part::decoder) return declare_logits();
  if (part_ == Part::tower) {
    for (size_t i = 0; i < graph_.outputs.size(); ++i) {
      const ir::ValueId id = graph_.outputs[i];
      const Name name = i == 0 ? kImageFeatures : fmt::format("{}{}", kDeepstackFeatures, i - 1);
      as_f32(names_[static_cast<size_t>(id)], name);
      b_.output(name, kF32, {"image_tokens", dims(id).back().extent});
    }
    return;
  }
  for (const ir::Node& node : graph_.nodes) {
    if (!std::holds_alternative<ir::Embed>(node.op)) continue;
    const Name rows = Name(kInputsEmbeds) + "/f32";
    as_f32(names_[static_cast<size_t>(node.output)], rows);
    b_.node("Reshape", kInputsEmbeds, {rows, batch_tokens_and({-1})});
    b_.output(kInputsEmbeds, kF32, {kBatch, kTokens, dims(node.output).back().extent});
  }
}

void Lowering::declare_logits() {
  DUAN_CHECK(graph_.outputs.size() == 1, "graph {} has {} outputs, expected logits", graph_.name,
             graph_.outputs.size());
  const ir::ValueId id = graph_.outputs[0];
  const int64_t vocab = dims(id).back().extent;
  Name rows = names_[static_cast<size_t>(id)];
  if (float_type_ != kF32) rows = b_.node("Cast", rows + "/f32", {rows}, {{"to", int64_t{kF32}}});
  b_.node("Reshape", "logits", {rows, batch_and({-1, vocab})});
  const IoDim kept = options_.logits == Logits::last ? IoDim(int64_t{1}) : IoDim("logits_length");
  b_.output("logits", kF32, {kBatch, kept, vocab});
  for (const ir::Node& node : graph_.nodes) {
    const auto* op = std::get_if<ir::Attention>(&node.op);
    if (op == nullptr || !options_.kv_cache) continue;
    const ir::Dims& k = dims(node.inputs[1]);
    for (const char* which : {"key", "value"}) {
      b_.output(present(*op, which), float_type_, {kBatch, k[2].extent, kTotal, k[3].extent});
    }
  }
}

Name Lowering::flat_ids(ir::ValueId ids) {
  const Name& input = graph_.value(ids).name;
  const Name name = input + "/flat";
  return b_.has(name) ? name : b_.node("Reshape", name, {input, b_.ints({-1})});
}

Name Lowering::flat_rows(const Name& input, int64_t width) {
  const Name rows = b_.node("Reshape", input + "/rows", {input, b_.ints({-1, width})});
  return to_activation(rows + "_f16", rows);
}

Name Lowering::positions(ir::ValueId id) {
  const Name input = graph_.value(id).name, name = input + "/rows";
  if (b_.has(name)) return name;
  if (sees_images_) {  // [coordinates, batch, tokens]
    const Name floats = b_.node("Cast", input + "/f32", {input}, {{"to", int64_t{kF32}}});
    const Name flat = b_.node("Reshape", input + "/flat", {floats, b_.ints({dims(id).back().extent, -1})});
    return b_.node("Transpose", name, {flat}, {{"perm", std::vector<int64_t>{1, 0}}});
  }
  if (!b_.has(input)) {  // no input of the ONNX graph: the first visible token is at 0
    const Name count = b_.node("CumSum", input + "/count", {kMask, b_.int_scalar(1)});
    const Name from_zero = b_.node("Sub", input + "/from_zero", {count, b_.int_scalar(1)});
    const Name of_all = b_.node("Max", input + "/of_all", {from_zero, b_.int_scalar(0)});
    const Name tokens = b_.node("Shape", input + "/tokens", {tokens_}, {{"start", int64_t{1}}, {"end", int64_t{2}}});
    b_.node("Slice", input,
            {of_all, b_.node("Neg", input + "/start", {tokens}), b_.ints({std::numeric_limits<int64_t>::max()}),
             b_.ints({1})});
  }
  const Name floats = b_.node("Cast", input + "/f32", {input}, {{"to", int64_t{kF32}}});
  return b_.node("Reshape", name, {floats, b_.ints({-1, 1})});
}

Name Lowering::batch_tokens_and(const std::vector<int64_t>& rest) {
  const Name name = fmt::format("{}/shape_{}", tokens_, fmt::join(rest, "_"));
  if (b_.has(name)) return name;
  const Name shape = tokens_ + "/shape";  // a tower has made it of its grid: frames and patches of one
  if (!b_.has(shape)) b_.node("Shape", shape, {tokens_}, {{"start", int64_t{0}}, {"end", int64_t{2}}});
  return b_.node("Concat", name, {shape, b_.ints(rest)}, {{"axis", int64_t{0}}});
}

Name Lowering::batch_and(const std::vector<int64_t>& rest) {
  const Name name = fmt::format("{}/batch_{}", tokens_, fmt::join(rest, "_"));
  if (b_.has(name)) return name;
  const Name batch = tokens_ + "/batch";
  if (!b_.has(batch)) b_.node("Shape", batch, {tokens_}, {{"start", int64_t{0}}, {"end", int64_t{1}}});
  return b_.node("Concat", name, {batch, b_.ints(rest)}, {{"axis", int64_t{0}}});
}

// A token sees the visible tokens up to itself, and itself even if it is padding: a row in which nothing may be seen
// has no softmax, and its NaN would reach every later layer.
Name Lowering::allowed(bool causal) {
  const Name base = std::string(kMask) + (causal ? "/causal" : "/all");
  const Name name = base + "/allowed";
  if (b_.has(name)) return name;
  const std::vector<Attr> second{{"start", int64_t{1}}, {"end", int64_t{2}}};
  const Name tokens =
      b_.node("Squeeze", base + "/tokens", {b_.node("Shape", base + "/tokens_shape", {tokens_}, second)});
  const Name total = b_.node("Squeeze", base + "/total", {b_.node("Shape", base + "/total_shape", {kMask}, second)});
  const Name past = b_.node("Sub", base + "/past", {total, tokens});
  const Name one = b_.int_scalar(1);
  const Name keys = b_.node("Range", base + "/keys", {b_.int_scalar(0), total, one});
  const Name queries = b_.node("Unsqueeze", base + "/queries",
                               {b_.node("Range", base + "/query_range", {past, total, one}), b_.ints({1})});
  const Name own = b_.node("Equal", base + "/own", {keys, queries});
  const Name visible = b_.node("Unsqueeze", base + "/visible",
                               {b_.node("Cast", base + "/mask", {kMask}, {{"to", int64_t{kBool}}}), b_.ints({1, 2})});
  const Name seen = b_.node("Or", causal ? base + "/visible_or_own" : name, {visible, own});
  if (!causal) return seen;
  const Name earlier = b_.node("LessOrEqual", base + "/earlier", {keys, queries});
  return b_.node("And", name, {seen, earlier});
}

Name Lowering::allowed_for_groups(bool causal, int64_t heads_per_kv) {
  const Name mask = allowed(causal);
  if (heads_per_kv == 1) return mask;
  const Name name = fmt::format("{}_{}", mask, heads_per_kv);
  return b_.has(name) ? name : b_.node("Tile", name, {mask, b_.ints({1, 1, heads_per_kv, 1})});
}

Name Lowering::lengths() {
  const Name base = kMask, name = base + "/lengths";
  if (b_.has(name)) return name;
  const Name count = b_.node("ReduceSum", base + "/count", {kMask, b_.ints({1})}, {{"keepdims", int64_t{0}}});
  const Name last = b_.node("Sub", base + "/last", {count, b_.int_scalar(1)});
  return b_.node("Cast", name, {last}, {{"to", int64_t{kI32}}});
}

Name Lowering::total_length() {
  const Name base = kMask, name = base + "/total_length";
  if (b_.has(name)) return name;
  const Name shape = b_.node("Shape", base + "/total_shape", {kMask}, {{"start", int64_t{1}}, {"end", int64_t{2}}});
  return b_.node("Cast", name, {b_.node("Squeeze", base + "/total", {shape})}, {{"to", int64_t{kI32}}});
}

}  // namespace duan::onnx
