#include "onnx/lower.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "onnx/lowering.h"
#include "onnx/weights.h"

namespace duan::onnx {
namespace {

constexpr std::array kDialects{std::pair{Dialect::onnx21, "onnx21"}, std::pair{Dialect::onnx23, "onnx23"},
                               std::pair{Dialect::ort, "ort"}};

}  // namespace

std::string_view dialect_name(Dialect dialect) {
  return std::find_if(kDialects.begin(), kDialects.end(), [&](const auto& d) { return d.first == dialect; })->second;
}

std::optional<Dialect> dialect_from_name(std::string_view name) {
  for (const auto& [dialect, its_name] : kDialects) {
    if (name == its_name) return dialect;
  }
  return std::nullopt;
}

Model lower(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint, const Options& options) {
  return Lowering(graph, checkpoint, options).run();
}

Lowering::Lowering(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint, const Options& options)
    : graph_(graph),
      checkpoint_(checkpoint),
      options_(options),
      float_type_(options.precision == Precision::fp16 ? pb::TensorProto::FLOAT16 : pb::TensorProto::FLOAT),
      names_(graph.values.size()) {
  DUAN_CHECK(options.dialect != Dialect::ort || options.context > 0, "dialect ort needs the length of its tables");
}

Model Lowering::run() {
  b_.graph().set_name(graph_.name);
  declare_inputs();
  for (const ir::Node& node : graph_.nodes) {
    node_ = &node;
    std::visit([this](const auto& op) { lower(op); }, node.op);
  }
  declare_outputs();

  pb::ModelProto& proto = b_.proto();
  const bool newer = options_.dialect == Dialect::onnx23;
  proto.set_ir_version(newer ? 11 : 10);
  proto.set_producer_name("duan");
  proto.set_producer_version(DUAN_VERSION);
  const auto import = [&](const char* domain, int64_t version) {
    pb::OperatorSetIdProto& opset = *proto.add_opset_import();
    opset.set_domain(domain);
    opset.set_version(version);
  };
  import("", newer ? 23 : 21);
  if (options_.dialect == Dialect::ort) import(kMicrosoft, 1);
  return b_.take();
}

const ir::Node* Lowering::producer(ir::ValueId id) const {
  const ir::NodeId node = graph_.value(id).producer;
  return node < 0 ? nullptr : &graph_.node(node);
}

bool Lowering::is_output(ir::ValueId id) const {
  return std::find(graph_.outputs.begin(), graph_.outputs.end(), id) != graph_.outputs.end();
}

Name Lowering::to_activation(const Name& name, const Name& f32) {
  if (float_type_ == pb::TensorProto::FLOAT) return f32;
  return b_.node("Cast", name, {f32}, {{"to", int64_t{float_type_}}});
}

Name Lowering::weight(ir::WeightId id) {
  const ir::WeightInfo& info = graph_.weight(id);
  if (b_.has(info.name)) return info.name;
  const Weight weight = checkpoint_.weight(info.name, info.shape);
  if (!std::holds_alternative<Dense>(weight.format)) {
    throw Error(fmt::format("is stored as {}; only plain numbers can be exported", format_name(weight.format)),
                info.name, "export the checkpoint this one was quantized from");
  }
  const uint64_t bytes = static_cast<uint64_t>(*element_count(info.shape)) * element_bytes(float_type_);
  return b_.initializer(info.name, float_type_, info.shape, bytes,
                        [weight, &checkpoint = checkpoint_, precision = options_.precision](const ByteSink& sink) {
                          stream_dense(weight, precision, checkpoint, sink);
                        });
}

void Lowering::lower(const ir::Embed& op) {
  out(b_.node("Gather", node_->name, {weight(op.weight), flat_ids(node_->inputs[0])}, {{"axis", int64_t{0}}}));
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
  const bool head = is_output(node_->output);
  const Name x = head ? last_tokens(in(0)) : in(0);
  std::vector<Name> inputs{x, weight(op.weight)};
  if (op.bias) inputs.push_back(weight(*op.bias));
  out(b_.node("Gemm", node_->name, inputs, {{"transB", int64_t{1}}}));
}

void Lowering::lower(const ir::RmsNorm& op) {
  const auto eps = static_cast<float>(op.eps);
  const Name& name = node_->name;
  if (options_.dialect == Dialect::onnx23) {
    out(b_.node("RMSNormalization", name, {in(0), weight(op.weight)}, {{"axis", int64_t{-1}}, {"epsilon", eps}}));
    return;
  }
  // ONNX Runtime recognises this form and runs it as one operator.
  const int32_t f32 = pb::TensorProto::FLOAT;
  const bool half = float_type_ != f32;
  const Name x = half ? b_.node("Cast", name + "/f32", {in(0)}, {{"to", int64_t{f32}}}) : in(0);
  const Name square = b_.node("Pow", name + "/square", {x, b_.float_scalar(2, f32)});
  const Name mean = b_.node("ReduceMean", name + "/mean", {square, b_.ints({-1})}, {{"keepdims", int64_t{1}}});
  const Name sum = b_.node("Add", name + "/eps", {mean, b_.float_scalar(eps, f32)});
  const Name root = b_.node("Sqrt", name + "/root", {sum});
  const Name unit = to_activation(name + "/unit_f16", b_.node("Div", name + "/unit", {x, root}));
  out(b_.node("Mul", name, {unit, weight(op.weight)}));
}

void Lowering::lower(const ir::Add&) { out(b_.node("Add", node_->name, {in(0), in(1)})); }
void Lowering::lower(const ir::Mul&) { out(b_.node("Mul", node_->name, {in(0), in(1)})); }

void Lowering::lower(const ir::Silu&) {
  const Name gate = b_.node("Sigmoid", node_->name + "/sigmoid", {in(0)});
  out(b_.node("Mul", node_->name, {in(0), gate}));
}

void Lowering::lower(const ir::Reshape& op) {
  std::vector<int64_t> shape{-1};
  for (size_t i = 2; i < op.dims.size(); ++i) shape.push_back(op.dims[i].extent);
  out(b_.node("Reshape", node_->name, {in(0), b_.ints(shape)}));
}

}  // namespace duan::onnx
