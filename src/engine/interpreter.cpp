#include "engine/interpreter.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>

#include "engine/int8_rows.h"
#include "kernels/attention.h"
#include "kernels/linear.h"
#include "kernels/linear_int8.h"
#include "tensor/angles.h"

namespace duan::engine {

Interpreter::Interpreter(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint, int64_t context)
    : graph_(graph), cache_(graph, context, DType::f32), values_(graph.values.size()) {
  for (const ir::WeightInfo& info : graph.weights) weights_.push_back(checkpoint.weight(info.name, info.shape));
}

int64_t Interpreter::weight_bytes() const {
  int64_t sum = 0;
  for (const Weight& weight : weights_) sum += static_cast<int64_t>(weight.bytes());
  return sum;
}

void Interpreter::run(std::span<const InputRows> inputs, int64_t rows, int64_t position) {
  inputs_ = inputs;
  position_ = position;
  for (size_t i = 0; i < graph_.inputs.size(); ++i) {
    const auto* floats = std::get_if<std::span<const float>>(&inputs[i]);
    if (floats != nullptr) values_[static_cast<size_t>(graph_.inputs[i])].assign(floats->begin(), floats->end());
  }
  std::vector<int64_t> row_counts(graph_.values.size(), rows);
  for (const ir::Node& node : graph_.nodes) {
    node_ = &node;
    rows_ = rows;
    for (const ir::ValueId value : node.inputs) rows_ = std::min(rows_, row_counts[static_cast<size_t>(value)]);
    if (const auto* merge = std::get_if<ir::MergeRows>(&node.op)) rows_ /= merge->count;
    row_counts[static_cast<size_t>(node.output)] = rows_;
    output().assign(static_cast<size_t>(rows_ * width(node.output)), 0.0f);
    std::visit([this](const auto& op) { run_op(op); }, node.op);
    if (probe_) probe_(node.output, 0, rows_, width(node.output), output().data());
  }
}

std::span<const int64_t> Interpreter::numbers(size_t i) const {
  return std::get<std::span<const int64_t>>(inputs_[input_index(graph_, node_->inputs[i])]);
}

std::vector<float> Interpreter::vector(ir::WeightId id) const {
  std::vector<float> values(static_cast<size_t>(weight(id).columns()));
  weight(id).row_to_float(0, values.data());
  return values;
}

void Interpreter::run_op(const ir::Embed& op) {
  const int64_t n = width(node_->output);
  for (int64_t r = 0; r < rows_; ++r) {
    weight(op.weight).row_to_float(numbers(0)[static_cast<size_t>(r)], output().data() + r * n);
  }
}

void Interpreter::run_op(const ir::BlendRows& op) {
  const int64_t n = width(node_->output), count = input_width(0);
  std::vector<float> row(static_cast<size_t>(n));
  for (int64_t r = 0; r < rows_; ++r) {
    for (int64_t i = 0; i < count; ++i) {
      const auto at = static_cast<size_t>(r * count + i);
      weight(op.weight).row_to_float(numbers(0)[at], row.data());
      for (int64_t c = 0; c < n; ++c) {
        output()[static_cast<size_t>(r * n + c)] += input(1)[at] * row[static_cast<size_t>(c)];
      }
    }
  }
}

void Interpreter::run_op(const ir::PutRows&) {
  const int64_t n = width(node_->output);
  for (int64_t r = 0; r < rows_; ++r) {
    const std::vector<float>& from = numbers(2)[static_cast<size_t>(r)] != 0 ? input(1) : input(0);
    std::copy_n(from.begin() + r * n, n, output().begin() + r * n);
  }
}

void Interpreter::run_op(const ir::Linear& op) {
  const std::vector<float> bias = op.bias ? vector(*op.bias) : std::vector<float>{};
  const Weight& w = weight(op.weight);
  const auto* int8 = std::get_if<Int8Channel>(&w.format);
  if (int8 != nullptr && int8->input.rounding != InputRounding::none) return run_int8(w, *int8, bias);
  if (const auto* dense = std::get_if<Dense>(&w.format)) return run_dense(dense->data, dense->dtype, bias, 0, w.rows());
  // One row of the weight at a time.
  std::vector<float> row(static_cast<size_t>(w.columns()));
  for (int64_t n = 0; n < w.rows(); ++n) {
    w.row_to_float(n, row.data());
    run_dense(reinterpret_cast<const std::byte*>(row.data()), DType::f32, bias, n, 1);
  }
}

// Columns [first, first + count) of the output; `data` holds those rows of the weight.
void Interpreter::run_dense(const std::byte* data, DType dtype, const std::vector<float>& bias, int64_t first,
                            int64_t count) {
  kernels::linear_kernels().back().run({.x = input(0).data(),
                                        .x_dtype = DType::f32,
                                        .x_stride = input_width(0),
                                        .w = data,
                                        .w_dtype = dtype,
                                        .bias = bias.empty() ? nullptr : bias.data() + first,
                                        .y = output().data() + first,
                                        .y_stride = width(node_->output),
                                        .rows = rows_,
                                        .first = 0,
                                        .last = count,
                                        .k = input_width(0),
                                        .accumulate = false});
}

void Interpreter::run_int8(const Weight& w, const Int8Channel& format, const std::vector<float>& bias) {
  const kernels::LinearInt8Kernel& kernel = kernels::linear_int8_kernels().back();
  const int64_t k = input_width(0);
  std::vector<int8_t> codes(static_cast<size_t>(rows_ * k));
  std::vector<float> x_scales(static_cast<size_t>(rows_));
  kernel.round_input({.x = input(0).data(),
                      .x_stride = k,
                      .rows = rows_,
                      .k = k,
                      .scheme = format.input,
                      .codes = codes.data(),
                      .scales = x_scales.data()});
  const std::vector<float> w_scales = int8_row_scales(w);
  kernel.run({.x = codes.data(),
              .x_scales = x_scales.data(),
              .x_zero_point = format.input.zero_point,
              .w = format.codes,
              .w_scales = w_scales.data(),
              .bias = bias.empty() ? nullptr : bias.data(),
              .y = output().data(),
              .y_stride = w.rows(),
              .rows = rows_,
              .first = 0,
              .last = w.rows(),
              .k = k,
              .accumulate = false});
}

void Interpreter::run_op(const ir::RmsNorm& op) {
  const std::vector<float> scale = vector(op.weight);
  const auto n = static_cast<int64_t>(scale.size()), all = input_width(0);
  ref_rows().rms_norm({.x = input(0).data(),
                       .x_stride = all,
                       .rows = rows_,
                       .groups = all / n,
                       .n = n,
                       .weight = scale.data(),
                       .eps = static_cast<float>(op.eps),
                       .out = output().data(),
                       .out_dtype = DType::f32,
                       .out_stride = all});
}

void Interpreter::run_op(const ir::LayerNorm& op) {
  const std::vector<float> scale = vector(op.weight), shift = vector(op.bias);
  const auto n = static_cast<int64_t>(scale.size());
  ref_rows().layer_norm({.x = input(0).data(),
                         .x_stride = n,
                         .rows = rows_,
                         .n = n,
                         .weight = scale.data(),
                         .bias = shift.data(),
                         .eps = static_cast<float>(op.eps),
                         .out = output().data(),
                         .out_dtype = DType::f32,
                         .out_stride = n});
}

void Interpreter::run_op(const ir::Add&) {
  std::transform(input(0).begin(), input(0).end(), input(1).begin(), output().begin(), std::plus<>());
}
void Interpreter::run_op(const ir::Mul&) {
  std::transform(input(0).begin(), input(0).end(), input(1).begin(), output().begin(), std::multiplies<>());
}
void Interpreter::run_op(const ir::Silu&) {
  std::transform(input(0).begin(), input(0).end(), output().begin(), [](float x) { return x / (1.0f + std::exp(-x)); });
}

void Interpreter::run_op(const ir::Gelu& op) {
  ref_rows().gelu({.x = input(0).data(),
                   .n = static_cast<int64_t>(input(0).size()),
                   .tanh = op.form == ir::GeluForm::tanh,
                   .out = output().data(),
                   .out_dtype = DType::f32});
}

void Interpreter::run_op(const ir::Angles& op) {
  const Frequencies frequencies = rope_frequencies(op.rope, op.dim);
  const auto axes = static_cast<size_t>(axis_count(op.rope.axes));
  for (int64_t r = 0; r < rows_; ++r) {
    const auto position = numbers(0).subspan(static_cast<size_t>(r) * axes, axes);
    fill_angles(frequencies, position, output().data() + r * op.dim);
  }
}

void Interpreter::run_op(const ir::Rope&) {
  output() = input(0);
  const ir::Dims& x = dims(node_->output);
  const int64_t heads = x[2].extent, n = x[3].extent;
  ref_rows().rope({.x = output().data(),
                   .x_stride = heads * n,
                   .rows = rows_,
                   .heads = heads,
                   .n = n,
                   .cosines = input(1).data(),
                   .sines = input(1).data() + n / 2,
                   .table_stride = n});
}

void Interpreter::run_op(const ir::Attention& op) {
  const ir::Dims &q = dims(node_->inputs[0]), &k = dims(node_->inputs[1]);
  const int64_t heads = q[2].extent, kv_heads = k[2].extent, n = q[3].extent, group = heads / kv_heads;
  std::vector<float> scratch(static_cast<size_t>(kernels::attention_scratch_floats(n)) + 16);
  void* aligned = scratch.data();
  size_t space = scratch.size() * sizeof(float);
  std::align(64, space - 64, aligned, space);
  for (int64_t head = 0; head < kv_heads; ++head) {
    const kernels::KvView view = cache_.view(op.cache, head);
    for (int64_t r = 0; r < rows_; ++r) {
      const int64_t at = (r * kv_heads + head) * n;
      kernels::store_kv(view, position_ + r, input(1).data() + at, input(2).data() + at);
    }
    kernels::attention_kernels().back().run({.q = input(0).data() + head * group * n,
                                             .q_stride_row = heads * n,
                                             .q_stride_head = n,
                                             .rows = rows_,
                                             .heads_per_kv = group,
                                             .first_position = position_,
                                             .scale = static_cast<float>(op.scale),
                                             .kv = view,
                                             .out = output().data() + head * group * n,
                                             .out_dtype = DType::f32,
                                             .out_stride_row = heads * n,
                                             .out_stride_head = n,
                                             .scratch = static_cast<float*>(aligned),
                                             .positions = op.causal ? 0 : position_ + rows_});
  }
}

void Interpreter::run_op(const ir::Reshape&) { output() = input(0); }
void Interpreter::run_op(const ir::MergeRows&) { output() = input(0); }

void Interpreter::run_op(const ir::Slice& op) {
  const int64_t all = input_width(0);
  for (int64_t r = 0; r < rows_; ++r) {
    std::copy_n(input(0).begin() + r * all + op.first, op.count, output().begin() + r * op.count);
  }
}

}  // namespace duan::engine
