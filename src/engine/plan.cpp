#include "engine/plan.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

#include "base/cpu.h"
#include "base/error.h"
#include "engine/fusion.h"
#include "engine/inputs.h"

namespace duan::engine {
namespace {

using ir::NodeId;
using ir::ValueId;

// Rows of logits computed at once when all are asked for: enough for the matrix kernels, little beside the vocabulary.
constexpr int64_t kSliceRows = 64;

class Planner {
 public:
  Planner(const ir::Graph& graph, const WeightSource& weights, const Options& options, const Precision& precision,
          PlanRows rows)
      : graph_(graph),
        weights_(weights),
        bf16_(precision.compute == Compute::bf16),
        int16_(precision.compute == Compute::int16),
        kv_dtype_(precision.kv_dtype),
        rows_(rows) {
    const std::vector<std::string> known = fusion_names();
    for (const std::string& name : options.disabled_fusions) {
      if (name != "all" && std::find(known.begin(), known.end(), name) == known.end()) {
        throw Error(fmt::format("\"{}\" is not a fusion", printable(name)), "disabled_fusions");
      }
    }
    fusions_ = find_fusions(graph, {options.disabled_fusions.begin(), options.disabled_fusions.end()});
    plan_.chunk_rows = std::min(std::max<int64_t>(options.chunk, 1), options.context);
    plan_.slice_rows = std::min(plan_.chunk_rows, kSliceRows);
    plan_.rows = &kernels::select_rows();
  }

  Plan build() {
    for (const ir::WeightInfo& info : graph_.weights) {
      plan_.weight_bytes += static_cast<int64_t>(weights_(info.name, info.shape).bytes());
    }
    find_merged();
    for (const ValueId input : graph_.inputs) {
      if (graph_.value(input).type.dtype != DType::f32) continue;
      add_step(InputStep{input_index(graph_, input), make_buffer(input)}, {input});
    }
    for (NodeId id = 0; id < static_cast<NodeId>(graph_.nodes.size()); ++id) {
      if (fusions_.absorbed.contains(id)) continue;
      node_id_ = id;
      node_ = &graph_.node(id);
      merged_ = merged_rows_[static_cast<size_t>(node_->output)];
      std::visit([this](const auto& op) { emit(op); }, node_->op);
    }
    for (const ValueId output : graph_.outputs) {
      plan_.outputs.push_back(buffer(output));
      plan_.buffers[static_cast<size_t>(plan_.outputs.back())].per_slice = rows_ == PlanRows::asked;
    }
    if (rows_ == PlanRows::all) plan_.tail_begin = plan_.steps.size();
    for (size_t i = plan_.tail_begin; i < plan_.steps.size(); ++i) {
      if (std::holds_alternative<AttentionStep>(plan_.steps[i].work)) plan_.tail_begin = i + 1;
    }
    find_lifetimes();
    place_buffers(plan_);
    return std::move(plan_);
  }

 private:
  // ---- values and buffers

  ValueId root(ValueId value) const {  // a reshape shares its input's buffer
    while (graph_.value(value).producer >= 0) {
      const ir::Node& producer = graph_.node(graph_.value(value).producer);
      if (!std::holds_alternative<ir::Reshape>(producer.op)) break;
      value = producer.inputs[0];
    }
    return value;
  }

  void find_merged() {
    merged_rows_.assign(graph_.values.size(), 1);
    for (const ir::Node& node : graph_.nodes) {
      int64_t& merged = merged_rows_[static_cast<size_t>(node.output)];
      for (const ValueId input : node.inputs) merged = std::max(merged, merged_rows_[static_cast<size_t>(input)]);
      if (const auto* merge = std::get_if<ir::MergeRows>(&node.op)) merged *= merge->count;
    }
  }

  BufferId new_buffer(int64_t width, DType dtype) {
    plan_.buffers.push_back({.width = width, .dtype = dtype, .merged = merged_, .first_step = -1, .last_step = -1});
    return static_cast<BufferId>(plan_.buffers.size()) - 1;
  }

  BufferId buffer(ValueId value) const {
    const auto found = buffers_.find(root(value));
    DUAN_CHECK(found != buffers_.end(), "{} has no buffer yet", graph_.value(value).name);
    return found->second;
  }

  BufferId make_buffer(ValueId value, DType dtype = DType::f32) {
    return buffers_[root(value)] = new_buffer(ir::width(graph_.value(value).type), dtype);
  }

  // The input rounding of a Linear; `none` for other nodes.
  InputScheme input_scheme(const ir::Node& reader) const {
    const auto* linear = std::get_if<ir::Linear>(&reader.op);
    if (linear == nullptr) return {};
    const Weight stored = weight(linear->weight);
    const auto* int8 = std::get_if<Int8Channel>(&stored.format);
    return int8 == nullptr ? InputScheme{} : int8->input;
  }

  // bf16 if only matrix products in bf16 read the value, so that whoever makes it can round once for all of them.
  DType storage(ValueId value) const {
    if (!bf16_) return DType::f32;
    for (const ValueId output : graph_.outputs) {
      if (root(output) == root(value)) return DType::f32;
    }
    for (const ir::Node& reader : graph_.nodes) {
      if (std::holds_alternative<ir::Reshape>(reader.op)) continue;
      for (const ValueId input : reader.inputs) {
        if (root(input) != root(value)) continue;
        if (!std::holds_alternative<ir::Linear>(reader.op)) return DType::f32;
        if (input_scheme(reader).rounding != InputRounding::none) return DType::f32;
      }
    }
    return DType::bf16;
  }

  // The buffer a matrix product in floating point reads: cast first if whoever made it could not round.
  BufferId float_input(ValueId value) {
    const BufferId in = buffer(value);
    if (!bf16_ || plan_.buffers[static_cast<size_t>(in)].dtype == DType::bf16) return in;
    const auto known = casts_.find(root(value));
    if (known != casts_.end()) return known->second;
    const BufferId cast = new_buffer(plan_.buffers[static_cast<size_t>(in)].width, DType::bf16);
    push_step(CastStep{in, cast}, {});
    return casts_[root(value)] = cast;
  }

  struct RoundedInput {
    InputScheme scheme;
    BufferId codes, scales;
  };

  // The buffers an integer product reads: products that round the same value the same way share them.
  RoundedInput rounded_input(ValueId value, const InputScheme& scheme) {
    for (const RoundedInput& known : rounded_[root(value)]) {
      if (known.scheme == scheme) return known;
    }
    const BufferId in = buffer(value);
    const int64_t width = plan_.buffers[static_cast<size_t>(in)].width;
    const RoundedInput made{scheme, new_buffer(width, DType::i8), new_buffer(1, DType::f32)};
    push_step(RoundInputStep{in, made.codes, made.scales, scheme, &kernels::select_linear_int8()}, {});
    rounded_[root(value)].push_back(made);
    return made;
  }

  Weight weight(ir::WeightId id) const {
    const ir::WeightInfo& info = graph_.weight(id);
    return weights_(info.name, info.shape);
  }

  std::vector<float> vector(ir::WeightId id) const {
    const Weight stored = weight(id);
    std::vector<float> values(static_cast<size_t>(stored.columns()));
    stored.row_to_float(0, values.data());
    return values;
  }

  LinearPart part(NodeId id, BufferId out) {
    const ir::Node& node = graph_.node(id);
    const auto& op = std::get<ir::Linear>(node.op);
    LinearPart result{weight(op.weight), {}, DenseProduct{}, -1, out};
    if (op.bias) result.bias = vector(*op.bias);
    const InputScheme scheme = input_scheme(node);
    if (scheme.rounding != InputRounding::none) {
      const RoundedInput input = rounded_input(node.inputs[0], scheme);
      result.in = input.codes;
      result.product = Int8Product{&kernels::select_linear_int8(), int8_row_scales(result.weight), input.scales};
      return result;
    }
    result.in = float_input(node.inputs[0]);
    if (const auto* dense = std::get_if<Dense>(&result.weight.format)) {
      result.product = DenseProduct{float_kernels(dense->dtype)};
      return result;
    }
    const FloatKernels kernels = float_kernels(x_dtype());
    const bool whole_groups = kernels::code_groups(result.weight).group_size % kernels::kRowGroup == 0;
    const bool direct_row = kernels.any_rows->row != nullptr && x_dtype() == DType::f32 && whole_groups;
    result.product = DequantizedProduct{&kernels::select_dequantize(), kernels, direct_row};
    const int64_t columns = result.weight.columns();
    const int64_t most = dequantized_rows(std::numeric_limits<int64_t>::max(), columns);
    plan_.scratch_bytes = std::max(plan_.scratch_bytes, most * columns * static_cast<int64_t>(dtype_size(x_dtype())));
    return result;
  }
  DType x_dtype() const { return bf16_ ? DType::bf16 : DType::f32; }
  FloatKernels float_kernels(DType weight) const {
    return {&kernels::select_linear(weight, x_dtype()), int16_ ? &kernels::select_linear_int16() : nullptr};
  }

  template <typename StepType>
  void add_step(StepType step, std::vector<ValueId> makes) {
    std::vector<std::pair<ValueId, BufferId>> made;
    for (const ValueId value : makes) made.emplace_back(value, buffer(value));
    push_step(std::move(step), std::move(made));
  }

  template <typename StepType>
  void push_step(StepType step, std::vector<std::pair<ValueId, BufferId>> makes) {
    plan_.steps.push_back({std::move(step), merged_, std::move(makes)});
  }

  // ---- one function per op

  void emit(const ir::Embed& op) {
    const BufferId out = make_buffer(node_->output);
    add_step(EmbedStep{weight(op.weight), input_index(graph_, node_->inputs[0]), out}, {node_->output});
  }

  void emit(const ir::BlendRows& op) {
    const int64_t count = ir::width(graph_.value(node_->inputs[0]).type);
    const BufferId shares = buffer(node_->inputs[1]), out = make_buffer(node_->output);
    add_step(BlendRowsStep{weight(op.weight), input_index(graph_, node_->inputs[0]), count, shares, out},
             {node_->output});
  }

  void emit(const ir::PutRows&) {
    const BufferId x = buffer(node_->inputs[0]), rows = buffer(node_->inputs[1]);
    add_step(PutRowsStep{x, rows, input_index(graph_, node_->inputs[2]), make_buffer(node_->output)}, {node_->output});
  }

  void emit(const ir::Angles& op) {
    const BufferId out = make_buffer(node_->output);
    const size_t positions = input_index(graph_, node_->inputs[0]);
    add_step(AnglesStep{rope_frequencies(op.rope, op.dim), positions, axis_count(op.rope.axes), out}, {node_->output});
  }

  void emit(const ir::RmsNorm& op) {
    const BufferId in = buffer(node_->inputs[0]);
    const BufferId out = make_buffer(node_->output, storage(node_->output));
    add_step(NormStep{in, out, vector(op.weight), static_cast<float>(op.eps)}, {node_->output});
  }

  void emit(const ir::LayerNorm& op) {
    const BufferId in = buffer(node_->inputs[0]);
    const BufferId out = make_buffer(node_->output, storage(node_->output));
    add_step(LayerNormStep{in, out, vector(op.weight), vector(op.bias), static_cast<float>(op.eps)}, {node_->output});
  }

  // The rows of the matrix that make the elements of a slice.
  LinearPart part_of_slice(NodeId linear, const ir::Slice& slice, BufferId out) {
    LinearPart result = part(linear, out);
    const int64_t first = slice.first, columns = result.weight.columns();
    auto& dense = std::get<Dense>(result.weight.format);
    dense.data += first * columns * static_cast<int64_t>(dtype_size(dense.dtype));
    result.weight.shape = {slice.count, columns};
    if (!result.bias.empty()) {
      result.bias.assign(result.bias.begin() + first, result.bias.begin() + first + slice.count);
    }
    return result;
  }

  // Slices of a matrix that is stored otherwise are cut from its whole product.
  void emit_split(const std::vector<NodeId>& slices) {
    LinearStep step;
    std::vector<ValueId> makes;
    if (std::holds_alternative<Dense>(weight(std::get<ir::Linear>(node_->op).weight).format)) {
      for (const NodeId id : slices) {
        const ValueId output = graph_.node(id).output;
        step.parts.push_back(part_of_slice(node_id_, std::get<ir::Slice>(graph_.node(id).op), make_buffer(output)));
        makes.push_back(output);
      }
      return add_step(std::move(step), makes);
    }
    step.parts.push_back(part(node_id_, make_buffer(node_->output)));
    add_step(std::move(step), {node_->output});
    for (const NodeId id : slices) {
      node_ = &graph_.node(id);
      emit(std::get<ir::Slice>(node_->op));
    }
  }

  void emit(const ir::Linear&) {
    if (const auto split = fusions_.split_linear.find(node_id_); split != fusions_.split_linear.end()) {
      return emit_split(split->second);
    }
    const auto shared = fusions_.shared_input.find(node_id_);
    const std::vector<NodeId> group =
        shared == fusions_.shared_input.end() ? std::vector<NodeId>{node_id_} : shared->second;
    LinearStep step;
    std::vector<ValueId> makes;
    for (const NodeId id : group) {
      const ValueId output = graph_.node(id).output;
      step.parts.push_back(part(id, make_buffer(output)));
      makes.push_back(output);
    }
    add_step(std::move(step), makes);
  }

  void emit(const ir::Add&) {
    const auto residual = fusions_.residual.find(node_id_);
    if (residual == fusions_.residual.end()) {
      const BufferId a = buffer(node_->inputs[0]), b = buffer(node_->inputs[1]);
      add_step(AddStep{a, b, make_buffer(node_->output)}, {node_->output});
      return;
    }
    const BufferId x = buffer(node_->inputs[0]);
    LinearStep step{.parts = {part(residual->second, x)}, .accumulate = true};
    buffers_[root(node_->output)] = x;
    add_step(std::move(step), {node_->output});
  }

  void emit(const ir::Mul&) {
    const auto fused = fusions_.gate_up.find(node_id_);
    if (fused == fusions_.gate_up.end()) {
      const BufferId a = buffer(node_->inputs[0]), b = buffer(node_->inputs[1]);
      add_step(MulStep{a, b, make_buffer(node_->output)}, {node_->output});
      return;
    }
    const int64_t width = ir::width(graph_.value(node_->output).type);
    LinearPart gate = part(fused->second.gate, new_buffer(width, DType::f32));
    LinearPart up = part(fused->second.up, new_buffer(width, DType::f32));
    const BufferId out = make_buffer(node_->output, storage(node_->output));
    add_step(GateUpStep{std::move(gate), std::move(up), out}, {node_->output});
  }

  void emit(const ir::Silu&) {
    const BufferId in = buffer(node_->inputs[0]);
    add_step(SiluStep{in, make_buffer(node_->output)}, {node_->output});
  }

  void emit(const ir::Gelu& op) {
    const BufferId in = buffer(node_->inputs[0]);
    const BufferId out = make_buffer(node_->output, storage(node_->output));
    add_step(GeluStep{in, out, op.form == ir::GeluForm::tanh}, {node_->output});
  }

  void emit(const ir::Slice& op) {
    const BufferId in = buffer(node_->inputs[0]);
    add_step(SliceStep{in, make_buffer(node_->output), op.first}, {node_->output});
  }

  void emit(const ir::MergeRows&) {
    const BufferId in = buffer(node_->inputs[0]);
    add_step(MergeRowsStep{in, make_buffer(node_->output)}, {node_->output});
  }

  void emit(const ir::Rope&) {
    const ir::Dims& dims = graph_.value(node_->output).type.dims;
    const BufferId in = buffer(node_->inputs[0]), angles = buffer(node_->inputs[1]);
    add_step(RopeStep{in, angles, make_buffer(node_->output), dims[2].extent, dims[3].extent}, {node_->output});
  }

  void emit(const ir::Attention& op) {
    const ir::Dims &q = graph_.value(node_->inputs[0]).type.dims, &k = graph_.value(node_->inputs[1]).type.dims;
    AttentionStep step{};
    step.cache = op.cache;
    step.causal = op.causal;
    step.scale = static_cast<float>(op.scale);
    step.heads = q[2].extent;
    step.kv_heads = k[2].extent;
    step.head_dim = q[3].extent;
    step.kernel = &kernels::select_attention(kv_dtype_, step.head_dim, step.causal);
    step.v = buffer(node_->inputs[2]);
    if (const auto fused = fusions_.norm_rope.find(node_id_); fused != fusions_.norm_rope.end()) {
      const NormRope& f = fused->second;
      step.q = buffer(f.q);
      step.k = buffer(f.k);
      step.angles = buffer(f.angles);
      if (f.q_norm >= 0) {
        const auto& q_norm = std::get<ir::RmsNorm>(graph_.node(f.q_norm).op);
        step.q_norm = vector(q_norm.weight);
        step.k_norm = vector(std::get<ir::RmsNorm>(graph_.node(f.k_norm).op).weight);
        step.eps = static_cast<float>(q_norm.eps);
      }
    } else {
      step.q = buffer(node_->inputs[0]);
      step.k = buffer(node_->inputs[1]);
    }
    step.out = make_buffer(node_->output, storage(node_->output));
    add_step(std::move(step), {node_->output});
  }

  // The buffer is the input's, and complete when that is.
  void emit(const ir::Reshape&) {
    for (Step& step : plan_.steps) {
      const auto made = std::find_if(step.makes.begin(), step.makes.end(),
                                     [&](const auto& pair) { return pair.first == node_->inputs[0]; });
      if (made == step.makes.end()) continue;
      step.makes.emplace_back(node_->output, made->second);
      return;
    }
  }

  // ---- lifetimes

  void touch(BufferId id, int32_t step) {
    Buffer& buffer = plan_.buffers[static_cast<size_t>(id)];
    if (buffer.first_step < 0) buffer.first_step = step;
    buffer.last_step = step;
  }

  void find_lifetimes() {
    const auto last = static_cast<int32_t>(plan_.steps.size()) - 1;
    for (int32_t i = 0; i <= last; ++i) {
      struct Touch {
        Planner& planner;
        int32_t step;
        void all(std::initializer_list<BufferId> ids) const {
          for (const BufferId id : ids) planner.touch(id, step);
        }
        void operator()(const InputStep& s) const { all({s.out}); }
        void operator()(const EmbedStep& s) const { all({s.out}); }
        void operator()(const BlendRowsStep& s) const { all({s.shares, s.out}); }
        void operator()(const PutRowsStep& s) const { all({s.x, s.rows, s.out}); }
        void operator()(const AnglesStep& s) const { all({s.out}); }
        void operator()(const NormStep& s) const { all({s.in, s.out}); }
        void operator()(const LayerNormStep& s) const { all({s.in, s.out}); }
        void linear(const LinearPart& part) const {
          all({part.in, part.out});
          if (const auto* int8 = std::get_if<Int8Product>(&part.product)) all({int8->x_scales});
        }
        void operator()(const RoundInputStep& s) const { all({s.in, s.codes, s.scales}); }
        void operator()(const LinearStep& s) const {
          for (const LinearPart& part : s.parts) linear(part);
        }
        void operator()(const GateUpStep& s) const {
          linear(s.gate);
          linear(s.up);
          all({s.out});
        }
        void operator()(const RopeStep& s) const { all({s.in, s.angles, s.out}); }
        void operator()(const AttentionStep& s) const {
          all({s.q, s.k, s.v, s.out});
          if (s.angles) all({*s.angles});
        }
        void operator()(const AddStep& s) const { all({s.a, s.b, s.out}); }
        void operator()(const MulStep& s) const { all({s.a, s.b, s.out}); }
        void operator()(const SiluStep& s) const { all({s.in, s.out}); }
        void operator()(const GeluStep& s) const { all({s.in, s.out}); }
        void operator()(const CastStep& s) const { all({s.in, s.out}); }
        void operator()(const SliceStep& s) const { all({s.in, s.out}); }
        void operator()(const MergeRowsStep& s) const { all({s.in, s.out}); }
      };
      std::visit(Touch{*this, i}, plan_.steps[static_cast<size_t>(i)].work);
    }
    // The tail runs once per slice of rows: what it reads from before must survive until the last slice.
    for (Buffer& buffer : plan_.buffers) {
      const auto tail = static_cast<int32_t>(plan_.tail_begin);
      if (buffer.first_step < tail && buffer.last_step >= tail) buffer.last_step = last;
    }
    for (const BufferId output : plan_.outputs) plan_.buffers[static_cast<size_t>(output)].last_step = last;
  }

  const ir::Graph& graph_;
  const WeightSource& weights_;
  bool bf16_, int16_;
  DType kv_dtype_;
  PlanRows rows_;
  Fusions fusions_;
  Plan plan_;
  std::map<ValueId, BufferId> buffers_;  // by root value, like the two below
  std::map<ValueId, BufferId> casts_;
  std::map<ValueId, std::vector<RoundedInput>> rounded_;
  std::vector<int64_t> merged_rows_;  // by value
  int64_t merged_ = 1;                // of the present node
  NodeId node_id_ = -1;
  const ir::Node* node_ = nullptr;
};

}  // namespace

std::vector<std::string> fusion_names() { return {"shared_input", "gate_up", "residual", "norm_rope", "split_linear"}; }

WeightSource weights_of(const checkpoint::Checkpoint& checkpoint) {
  return [&checkpoint](const std::string& name, const Shape& shape) { return checkpoint.weight(name, shape); };
}

Precision choose_precision(const ir::Graph& graph, const WeightSource& weights, const Options& options) {
  const auto narrow_weights = [&] {
    for (const ir::Node& node : graph.nodes) {
      if (const auto* linear = std::get_if<ir::Linear>(&node.op)) {
        const ir::WeightInfo& info = graph.weight(linear->weight);
        const Weight weight = weights(info.name, info.shape);
        const auto* dense = std::get_if<Dense>(&weight.format);
        return dense == nullptr || dense->dtype == DType::bf16;
      }
    }
    return false;
  };
  if (options.compute == Compute::int16 && !isa_allowed(Isa::avx2)) {
    throw Error("int16 needs AVX2", "--compute", "leave it out, or choose fp32");
  }
  Precision precision;
  precision.compute = options.compute;
  if (options.compute == Compute::automatic) {
    const Compute fast = isa_allowed(Isa::avx512_bf16) ? Compute::bf16
                         : kernels::int16_is_faster()  ? Compute::int16
                                                       : Compute::fp32;
    precision.compute = narrow_weights() ? fast : Compute::fp32;
  }
  const DType kv_dtype = precision.compute == Compute::bf16 ? DType::bf16 : DType::f32;
  precision.kv_dtype = options.kv_automatic ? kv_dtype : options.kv_dtype;
  return precision;
}

Plan make_plan(const ir::Graph& graph, const WeightSource& weights, const Options& options, const Precision& precision,
               PlanRows rows) {
  return Planner(graph, weights, options, precision, rows).build();
}

void place_buffers(Plan& plan) {
  constexpr int64_t kAlignment = 64;
  const auto bytes = [&](const Buffer& b) {
    const int64_t rows = b.per_slice ? plan.slice_rows : (plan.chunk_rows + b.merged - 1) / b.merged;
    const int64_t size = b.width * rows * static_cast<int64_t>(dtype_size(b.dtype));
    return (size + kAlignment - 1) / kAlignment * kAlignment;
  };
  std::vector<Buffer*> by_size;
  for (Buffer& buffer : plan.buffers) by_size.push_back(&buffer);
  std::stable_sort(by_size.begin(), by_size.end(),
                   [&](const Buffer* a, const Buffer* b) { return bytes(*a) > bytes(*b); });

  std::vector<const Buffer*> placed;  // by offset
  plan.arena_bytes = 0;
  for (Buffer* buffer : by_size) {
    int64_t offset = 0;
    for (const Buffer* other : placed) {
      const bool together = other->first_step <= buffer->last_step && buffer->first_step <= other->last_step;
      if (!together) continue;
      if (offset + bytes(*buffer) <= other->offset) break;
      offset = std::max(offset, other->offset + bytes(*other));
    }
    buffer->offset = offset;
    plan.arena_bytes = std::max(plan.arena_bytes, offset + bytes(*buffer));
    placed.insert(std::upper_bound(placed.begin(), placed.end(), buffer,
                                   [](const Buffer* a, const Buffer* b) { return a->offset < b->offset; }),
                  buffer);
  }
}

}  // namespace duan::engine
