#include "onnx/lower.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "onnx/lowering.h"

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
  return Lowering(graph, Part::decoder, checkpoint, options).run();
}

Model lower_embedding(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint, const Options& options) {
  return Lowering(graph, Part::embedding, checkpoint, options).run();
}

Model lower_tower(const ir::Graph& graph, const checkpoint::ModelConfig& config,
                  const checkpoint::Checkpoint& checkpoint, const Options& options) {
  return Lowering(graph, Part::tower, checkpoint, options, &config).run();
}

Lowering::Lowering(const ir::Graph& graph, Part part, const checkpoint::Checkpoint& checkpoint, const Options& options,
                   const checkpoint::ModelConfig* of_tower)
    : graph_(graph),
      part_(part),
      checkpoint_(checkpoint),
      options_(options),
      tower_(of_tower == nullptr ? nullptr : &*of_tower->vision),
      float_type_(options.precision == Precision::fp16 ? pb::TensorProto::FLOAT16 : pb::TensorProto::FLOAT),
      names_(graph.values.size()) {
  for (const ir::WeightInfo& info : graph.weights) {
    const bool quantized = !std::holds_alternative<Dense>(checkpoint.weight(info.name, info.shape).format);
    keeps_dtypes_ = keeps_dtypes_ || (quantized && options.precision == Precision::fp32);
  }
  // A tower is not quantized itself, but the model it belongs to may be.
  if (of_tower != nullptr) keeps_dtypes_ = of_tower->quantization && options.precision == Precision::fp32;
  for (const ir::Node& node : graph.nodes) {
    sees_images_ = sees_images_ || std::holds_alternative<ir::PutRows>(node.op);
  }
  DUAN_CHECK((part == Part::tower) == (of_tower != nullptr), "a tower and its configuration come together");
  DUAN_CHECK(options.dialect != Dialect::ort || options.context > 0, "dialect ort needs the length of its tables");
}

Model Lowering::run() {
  b_.graph().set_name(graph_.name);
  declare_inputs();
  for (const ir::Node& node : graph_.nodes) {
    node_ = &node;
    const bool embeds = std::holds_alternative<ir::Embed>(node.op);
    if (part_ == Part::embedding ? !embeds : embeds && sees_images_) continue;
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
  Model model = b_.take();
  model.int8_products = int8_products_;
  return model;
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

void Lowering::lower(const ir::LayerNorm& op) {
  out(b_.node("LayerNormalization", node_->name, {in(0), weight(op.weight), weight(op.bias)},
              {{"axis", int64_t{-1}}, {"epsilon", static_cast<float>(op.eps)}}));
}

void Lowering::lower(const ir::Gelu& op) {
  out(b_.node("Gelu", node_->name, {in(0)},
              {{"approximate", std::string(op.form == ir::GeluForm::tanh ? "tanh" : "none")}}));
}

void Lowering::lower(const ir::Slice& op) {
  out(b_.node("Slice", node_->name, {in(0), b_.ints({op.first}), b_.ints({op.first + op.count}), b_.ints({-1})}));
}

void Lowering::lower(const ir::MergeRows&) {
  out(b_.node("Reshape", node_->name, {in(0), b_.ints({-1, dims(node_->output).back().extent})}));
}

void Lowering::lower(const ir::BlendRows& op) {
  const Name found = b_.node("Gather", node_->name + "/rows", {dense(op.weight), in(0)});  // [n, count, width]
  const Name rows = as_activation(found, op.weight);
  const Name shares = b_.node("Unsqueeze", node_->name + "/shares", {in(1), b_.ints({-1})});
  const Name parts = b_.node("Mul", node_->name + "/parts", {rows, shares});
  out(b_.node("ReduceSum", node_->name, {parts, b_.ints({1})}, {{"keepdims", int64_t{0}}}));
}

// The decoder of a model that sees images starts behind it: rows are put in place by whoever runs the graph.
void Lowering::lower(const ir::PutRows&) { out(flat_rows(kInputsEmbeds, dims(node_->output).back().extent)); }

}  // namespace duan::onnx
