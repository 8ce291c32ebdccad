// Rotation and attention, in each dialect.
#include <fmt/format.h>

#include "base/error.h"
#include "onnx/lowering.h"

namespace duan::onnx {
namespace {

// Every row sees every other, and none is remembered.
bool is_full(const ir::Attention& op) { return !op.causal && op.cache == ir::kNoCache; }

}  // namespace

// Cosines and sines [n, dim / 2] of the angles of positions f32 [n, coordinates].
std::pair<Name, Name> Lowering::cosines_and_sines(const ir::Node& node, const Name& positions) {
  const auto& op = std::get<ir::Angles>(node.op);
  const Frequencies frequencies = rope_frequencies(op.rope, op.dim);
  const Name& name = node.name;
  const int32_t f32 = pb::TensorProto::FLOAT;
  const auto pairs = static_cast<int64_t>(frequencies.per_pair.size());
  const std::string_view bytes(reinterpret_cast<const char*>(frequencies.per_pair.data()),
                               frequencies.per_pair.size() * 4);
  const Name per_pair = b_.initializer(name + ".frequencies", f32, {1, pairs}, bytes);
  Name of_pairs = positions;
  if (axis_count(op.rope.axes) > 1) {
    const Name axes = b_.ints(frequencies.axis_of_pair);
    of_pairs = b_.node("Gather", name + "/of_pairs", {positions, axes}, {{"axis", int64_t{1}}});
  }
  const Name product = b_.node("Mul", name, {of_pairs, per_pair});
  const auto table = [&](const char* function, const std::string& which) {
    Name values = b_.node(function, name + "/" + which, {product});
    if (frequencies.magnitude != 1) {
      values = b_.node("Mul", values + "_scaled", {values, b_.float_scalar(frequencies.magnitude, f32)});
    }
    return to_activation(values + "_f16", values);
  };
  return {table("Cos", "cos"), table("Sin", "sin")};
}

void Lowering::lower(const ir::Angles&) {
  if (turns_inside(node_->output)) return;
  const auto [cosines, sines] = cosines_and_sines(*node_, positions(node_->inputs[0]));
  if (is_table_of_rows(node_->output)) {
    turns_[node_->output] = {cosines, sines};
    return;
  }
  // One for all heads of a row; or, for RotaryEmbedding, a batch of one, so that rows stay rows.
  const Name axis = b_.ints({options_.dialect == Dialect::onnx23 ? 0 : 1});
  const auto rows = [&](const Name& table, const char* which) {
    return b_.node("Unsqueeze", node_->name + "/" + which + "_rows", {table, axis});
  };
  turns_[node_->output] = {rows(cosines, "cos"), rows(sines, "sin")};
}

void Lowering::lower(const ir::Rope&) {
  const ir::Dims& x = dims(node_->output);
  const int64_t heads = x[2].extent, dim = x[3].extent;
  if (turns_inside(node_->inputs[1])) return;  // attention_ort reads what stands before it
  if (is_table_of_rows(node_->inputs[1])) return out(rope_ort(in(0), heads, dim, node_->inputs[1]));
  out(options_.dialect == Dialect::onnx23 ? rope_onnx23(in(0), heads, dim, node_->inputs[1])
                                          : rope_onnx21(in(0), node_->inputs[1]));
}

int64_t Lowering::coordinates(ir::ValueId angles) const {
  return axis_count(std::get<ir::Angles>(producer(angles)->op).rope.axes);
}

// GroupQueryAttention turns heads whose width is a multiple of 16, by positions of one coordinate.
bool Lowering::turns_inside(ir::ValueId angles) const {
  return options_.dialect == Dialect::ort && coordinates(angles) == 1 && dims(angles).back().extent % 16 == 0;
}

bool Lowering::is_table_of_rows(ir::ValueId angles) const {
  return options_.dialect == Dialect::ort && coordinates(angles) > 1;
}

// Pairs (j, j + dim/2): first half * cos - second * sin, second * cos + first * sin.
Name Lowering::rope_onnx21(const Name& x, ir::ValueId angles) {
  const auto& [cosines, sines] = turns_.at(angles);
  const Name& name = node_->name;
  const Name first = name + "/first", second = name + "/second";
  b_.node("Split", name + "/halves", {x}, {first, second}, {{"axis", int64_t{-1}}, {"num_outputs", int64_t{2}}}, "");
  const auto product = [&](const Name& half, const Name& table, const char* suffix) {
    return b_.node("Mul", half + suffix, {half, table});
  };
  const Name turned_first =
      b_.node("Sub", name + "/turned_first", {product(first, cosines, "_cos"), product(second, sines, "_sin")});
  const Name turned_second =
      b_.node("Add", name + "/turned_second", {product(second, cosines, "_cos"), product(first, sines, "_sin")});
  return b_.node("Concat", name, {turned_first, turned_second}, {{"axis", int64_t{-1}}});
}

Name Lowering::rope_onnx23(const Name& x, int64_t heads, int64_t dim, ir::ValueId angles) {
  const auto& [cosines, sines] = turns_.at(angles);
  const Name& name = node_->name;
  const Name rows = b_.node("Reshape", name + "/rows", {x, b_.ints({1, -1, heads * dim})});
  const Name turned = b_.node("RotaryEmbedding", name + "/turned", {rows, cosines, sines}, {{"num_heads", heads}});
  return b_.node("Reshape", name, {turned, b_.ints({-1, heads, dim})});
}

// ONNX Runtime's operator looks positions up in tables. These have a line for every row, in order: a position of [1]
// says where that order begins.
Name Lowering::rope_ort(const Name& x, int64_t heads, int64_t dim, ir::ValueId angles) {
  const auto& [cosines, sines] = turns_.at(angles);
  const Name& name = node_->name;
  const Name rows = b_.node("Reshape", name + "/rows", {x, b_.ints({1, -1, heads * dim})});
  const Name turned = b_.node("RotaryEmbedding", name + "/turned", {rows, b_.ints({0}), cosines, sines},
                              {{"num_heads", heads}}, kMicrosoft);
  b_.describe(turned, float_type_, {1, tokens_ + "/all_rows", heads * dim});
  return b_.node("Reshape", name, {turned, b_.ints({-1, heads, dim})});
}

std::string Lowering::kv_name(const char* prefix, const ir::Attention& op, const char* which) const {
  return fmt::format("{}.{}.{}", prefix, op.cache, which);
}
Name Lowering::past(const ir::Attention& op, const char* which) const { return kv_name("past_key_values", op, which); }
Name Lowering::present(const ir::Attention& op, const char* which) const { return kv_name("present", op, which); }

Name Lowering::with_past(const Name& x, const ir::Attention& op, const char* which) {
  if (!options_.kv_cache) return x;
  return b_.node("Concat", present(op, which), {past(op, which), x}, {{"axis", int64_t{2}}});
}

void Lowering::lower(const ir::Attention& op) {
  const ir::Dims &q = dims(node_->inputs[0]), &k = dims(node_->inputs[1]);
  const Heads heads{q[2].extent, k[2].extent, q[3].extent};
  switch (options_.dialect) {
    case Dialect::onnx21:
      return out(is_full(op) ? full_attention_onnx21(op, heads) : attention_onnx21(op, heads));
    case Dialect::onnx23:
      return out(attention_onnx23(op, heads));
    case Dialect::ort:
      return out(is_full(op) ? full_attention_ort(op, heads) : attention_ort(op, heads));
  }
}

// All of a matrix of scores, for every head, lies in memory.
Name Lowering::full_attention_onnx21(const ir::Attention& op, const Heads& heads) {
  DUAN_CHECK(heads.q == heads.kv, "{} groups its heads", node_->name);
  const Name& name = node_->name;
  const auto by_head = [&](const Name& x, const char* which, const std::vector<int64_t>& order) {
    const Name apart = b_.node("Reshape", name + "/" + which + "_rows", {x, batch_tokens_and({heads.q, heads.dim})});
    return b_.node("Transpose", name + "/" + which + "_heads", {apart}, {{"perm", order}});
  };
  const Name scale = b_.float_scalar(static_cast<float>(op.scale), float_type_);
  const Name q = by_head(b_.node("Mul", name + "/q_scaled", {in(0), scale}), "q", {0, 2, 1, 3});
  const Name k = by_head(in(1), "k", {0, 2, 3, 1}), v = by_head(in(2), "v", {0, 2, 1, 3});
  const Name scores = b_.node("MatMul", name + "/scores", {q, k});
  const Name shares = b_.node("Softmax", name + "/shares", {scores}, {{"axis", int64_t{-1}}});
  const Name mixed = b_.node("MatMul", name + "/mixed", {shares, v});
  const Name rows = b_.node("Transpose", name + "/mixed_rows", {mixed}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
  return b_.node("Reshape", name, {rows, b_.ints({-1, heads.q, heads.dim})});
}

// Without a mask ONNX Runtime goes block by block, and needs no matrix of scores.
Name Lowering::full_attention_ort(const ir::Attention& op, const Heads& heads) {
  DUAN_CHECK(heads.q == heads.kv, "{} groups its heads", node_->name);
  const Name& name = node_->name;
  const auto rows = [&](size_t i, const char* which) {
    return b_.node("Reshape", name + "/" + which, {in(i), batch_tokens_and({heads.q * heads.dim})});
  };
  const Name mixed = b_.node("MultiHeadAttention", name + "/mixed", {rows(0, "q"), rows(1, "k"), rows(2, "v")},
                             {{"num_heads", heads.q}, {"scale", static_cast<float>(op.scale)}}, kMicrosoft);
  b_.describe(mixed, float_type_, {"frames", "frame_patches", heads.q * heads.dim});
  return b_.node("Reshape", name, {mixed, b_.ints({-1, heads.q, heads.dim})});
}

// The query heads that share a key head are stacked along the tokens, so that keys and values are never repeated.
Name Lowering::attention_onnx21(const ir::Attention& op, const Heads& heads) {
  const Name& name = node_->name;
  const int64_t group = heads.q / heads.kv;
  const auto by_head = [&](const Name& x, const char* which) {  // [batch, kv_heads, tokens, head_dim]
    const Name apart = b_.node("Reshape", name + "/" + which + "_tokens", {x, batch_tokens_and({heads.kv, heads.dim})});
    return b_.node("Transpose", name + "/" + which + "_heads", {apart}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
  };
  const Name k = with_past(by_head(in(1), "k"), op, "key");
  const Name v = with_past(by_head(in(2), "v"), op, "value");

  const Name scale = b_.float_scalar(static_cast<float>(op.scale), float_type_);
  const Name q = b_.node("Mul", name + "/q_scaled", {in(0), scale});
  const Name apart = b_.node("Reshape", name + "/q_tokens", {q, batch_tokens_and({heads.kv, group, heads.dim})});
  const Name grouped =
      b_.node("Transpose", name + "/q_heads", {apart}, {{"perm", std::vector<int64_t>{0, 2, 3, 1, 4}}});
  const Name stacked = b_.node("Reshape", name + "/q_stacked", {grouped, b_.ints({0, heads.kv, -1, heads.dim})});

  const Name columns = b_.node("Transpose", name + "/k_columns", {k}, {{"perm", std::vector<int64_t>{0, 1, 3, 2}}});
  const Name scores = b_.node("MatMul", name + "/scores", {stacked, columns});
  const float lowest = float_type_ == pb::TensorProto::FLOAT16 ? -65504.0f : std::numeric_limits<float>::lowest();
  const Name masked = b_.node("Where", name + "/masked",
                              {allowed_for_groups(op.causal, group), scores, b_.float_scalar(lowest, float_type_)});
  const Name shares = b_.node("Softmax", name + "/shares", {masked}, {{"axis", int64_t{-1}}});
  const Name mixed = b_.node("MatMul", name + "/mixed", {shares, v});
  const Name split = b_.node("Reshape", name + "/mixed_heads", {mixed, b_.ints({0, heads.kv, group, -1, heads.dim})});
  const Name tokens =
      b_.node("Transpose", name + "/mixed_tokens", {split}, {{"perm", std::vector<int64_t>{0, 3, 1, 2, 4}}});
  return b_.node("Reshape", name, {tokens, b_.ints({-1, heads.q, heads.dim})});
}

Name Lowering::attention_onnx23(const ir::Attention& op, const Heads& heads) {
  const Name& name = node_->name;
  const auto tokens = [&](size_t i, const char* which) {
    return b_.node("Reshape", name + "/" + which, {in(i), batch_tokens_and({-1})});
  };
  // is_causal would count the query from the first key, whatever the past (opset 23): the mask says it all.
  std::vector<Name> inputs{tokens(0, "q"), tokens(1, "k"), tokens(2, "v")};
  std::vector<Name> outputs{name + "/mixed"};
  if (!is_full(op)) inputs.push_back(allowed(op.causal));
  if (options_.kv_cache && !is_full(op)) {
    for (const char* which : {"key", "value"}) {
      inputs.push_back(past(op, which));
      outputs.push_back(present(op, which));
    }
  }
  b_.node("Attention", name + "/mixed", inputs, outputs,
          {{"q_num_heads", heads.q},
           {"kv_num_heads", heads.kv},
           {"scale", static_cast<float>(op.scale)},
           {"softmax_precision", int64_t{pb::TensorProto::FLOAT}}},
          "");
  return b_.node("Reshape", name, {name + "/mixed", b_.ints({-1, heads.q, heads.dim})});
}

std::optional<ir::ValueId> Lowering::shared_angles(ir::ValueId q, ir::ValueId k) const {
  const auto angles = [&](ir::ValueId id) -> std::optional<ir::ValueId> {
    const ir::Node* node = producer(id);
    if (node == nullptr || !std::holds_alternative<ir::Rope>(node->op)) return std::nullopt;
    if (!turns_inside(node->inputs[1])) return std::nullopt;
    return node->inputs[1];
  };
  const std::optional<ir::ValueId> of_q = angles(q), of_k = angles(k);
  if (of_q != of_k) {
    throw Error(fmt::format("{} and {} are not turned by the same angles; dialect ort turns both in one operator",
                            graph_.value(q).name, graph_.value(k).name),
                node_->name, "choose --dialect onnx21 or onnx23");
  }
  return of_q;
}

// Tables of every position are some tens of megabytes of what follows from a few numbers: loaders make them once.
std::pair<Name, Name> Lowering::rotary_tables(ir::ValueId angles) {
  if (const auto made = turns_.find(angles); made != turns_.end()) return made->second;
  const ir::Node& node = *producer(angles);
  const int32_t f32 = pb::TensorProto::FLOAT;
  const Name count = b_.node(
      "Range", node.name + "/positions",
      {b_.float_scalar(0, f32), b_.float_scalar(static_cast<float>(options_.context), f32), b_.float_scalar(1, f32)});
  const Name positions = b_.node("Reshape", node.name + "/all_positions", {count, b_.ints({-1, 1})});
  return turns_[angles] = cosines_and_sines(node, positions);
}

Name Lowering::attention_ort(const ir::Attention& op, const Heads& heads) {
  if (!op.causal) {
    throw Error("attention that is not causal has no operator in dialect ort", node_->name,
                "choose --dialect onnx21 or onnx23");
  }
  const Name& name = node_->name;
  const std::optional<ir::ValueId> angles = shared_angles(node_->inputs[0], node_->inputs[1]);
  const auto tokens = [&](size_t i, const char* which) {
    const ir::ValueId value = angles && i < 2 ? producer(node_->inputs[i])->inputs[0] : node_->inputs[i];
    return b_.node("Reshape", name + "/" + which, {names_[static_cast<size_t>(value)], batch_tokens_and({-1})});
  };
  std::vector<Name> inputs{tokens(0, "q"), tokens(1, "k"), tokens(2, "v"), "", ""};
  std::vector<Name> outputs{name + "/mixed", name + "/present_key", name + "/present_value"};
  if (options_.kv_cache) {
    inputs[3] = past(op, "key"), inputs[4] = past(op, "value");
    outputs[1] = present(op, "key"), outputs[2] = present(op, "value");
  }
  inputs.push_back(lengths());
  inputs.push_back(total_length());
  if (angles) {
    const auto [cosines, sines] = rotary_tables(*angles);
    inputs.push_back(cosines);
    inputs.push_back(sines);
  }
  b_.node("GroupQueryAttention", name + "/mixed", inputs, outputs,
          {{"num_heads", heads.q},
           {"kv_num_heads", heads.kv},
           {"scale", static_cast<float>(op.scale)},
           {"do_rotary", int64_t{angles ? 1 : 0}}},
          kMicrosoft);
  b_.describe(name + "/mixed", float_type_, {kBatch, kTokens, heads.q * heads.dim});
  return b_.node("Reshape", name, {name + "/mixed", b_.ints({-1, heads.q, heads.dim})});
}

}  // namespace duan::onnx
