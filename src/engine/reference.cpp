// The graph op by op, in fp32, with the reference kernels: what the planned engine is held against.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/error.h"
#include "engine/checks.h"
#include "engine/engine.h"
#include "engine/int8_rows.h"
#include "engine/kv_cache.h"
#include "kernels/attention.h"
#include "kernels/linear.h"
#include "kernels/linear_int8.h"
#include "kernels/rows.h"
#include "tensor/angles.h"

namespace duan::engine {
namespace {

class ReferenceEngine final : public Engine {
 public:
  ReferenceEngine(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint, const Options& options)
      : graph_(graph),
        checkpoint_(checkpoint),
        context_(options.context),
        chunk_(std::max<int64_t>(options.chunk, 1)),
        vocab_(ir::width(graph.value(graph.outputs.at(0)).type)),
        cache_(graph, options.context, DType::f32),
        values_(graph.values.size()) {
    for (const ir::WeightInfo& info : graph.weights) weights_.push_back(checkpoint.weight(info.name, info.shape));
  }

  std::span<const float> forward(std::span<const int64_t> ids) override {
    run(ids, {});
    const std::vector<float>& logits = values_[static_cast<size_t>(graph_.outputs[0])];
    const std::span<const float> last(logits.data() + logits.size() - static_cast<size_t>(vocab_),
                                      static_cast<size_t>(vocab_));
    return last;
  }

  void forward_all(std::span<const int64_t> ids, const LogitsFn& logits) override { run(ids, logits); }

  void truncate(int64_t positions) override { position_ = std::clamp<int64_t>(positions, 0, position_); }
  int64_t position() const override { return position_; }
  int64_t context() const override { return context_; }
  void set_probe(Probe probe) override { probe_ = std::move(probe); }
  Compute compute() const override { return Compute::fp32; }
  int threads() const override { return 1; }

  MemoryUse memory() const override {
    MemoryUse use;
    for (const Weight& weight : weights_) use.weight_bytes += static_cast<int64_t>(weight.bytes());
    use.kv_bytes = cache_.bytes();
    for (const ir::ValueInfo& value : graph_.values) use.activation_bytes += ir::width(value.type) * chunk_ * 4;
    return use;
  }

 private:
  void run(std::span<const int64_t> ids, const LogitsFn& logits_fn) {
    check_ids(ids, vocab_, position_, context_);
    const int64_t before = position_;
    try {
      for (size_t first = 0; first < ids.size(); first += static_cast<size_t>(chunk_)) {
        run_chunk(ids.subspan(first, std::min(ids.size() - first, static_cast<size_t>(chunk_))));
        const std::vector<float>& logits = values_[static_cast<size_t>(graph_.outputs[0])];
        check_logits(logits, graph_, checkpoint_);
        for (int64_t r = 0; logits_fn && r < rows_; ++r) {
          logits_fn(static_cast<int64_t>(first) + r,
                    std::span(logits).subspan(static_cast<size_t>(r * vocab_), static_cast<size_t>(vocab_)));
        }
        position_ += rows_;
      }
    } catch (...) {
      position_ = before;
      throw;
    }
  }

  void run_chunk(std::span<const int64_t> ids) {
    ids_ = ids;
    rows_ = static_cast<int64_t>(ids.size());
    for (const ir::Node& node : graph_.nodes) {
      node_ = &node;
      output().assign(static_cast<size_t>(rows_ * width(node.output)), 0.0f);
      std::visit([this](const auto& op) { run_op(op); }, node.op);
      if (probe_) probe_(node.output, 0, rows_, width(node.output), output().data());
    }
  }

  int64_t width(ir::ValueId id) const { return ir::width(graph_.value(id).type); }
  std::vector<float>& output() { return values_[static_cast<size_t>(node_->output)]; }
  const std::vector<float>& input(size_t i) const { return values_[static_cast<size_t>(node_->inputs[i])]; }
  int64_t input_width(size_t i) const { return width(node_->inputs[i]); }
  const ir::Dims& dims(ir::ValueId id) const { return graph_.value(id).type.dims; }
  const Weight& weight(ir::WeightId id) const { return weights_[static_cast<size_t>(id)]; }

  std::vector<float> vector(ir::WeightId id) const {
    std::vector<float> values(static_cast<size_t>(weight(id).columns()));
    weight(id).row_to_float(0, values.data());
    return values;
  }

  void run_op(const ir::Embed& op) {
    const int64_t n = width(node_->output);
    for (int64_t r = 0; r < rows_; ++r) {
      weight(op.weight).row_to_float(ids_[static_cast<size_t>(r)], output().data() + r * n);
    }
  }

  void run_op(const ir::Linear& op) {
    const std::vector<float> bias = op.bias ? vector(*op.bias) : std::vector<float>{};
    const Weight& w = weight(op.weight);
    const auto* int8 = std::get_if<Int8Channel>(&w.format);
    if (int8 != nullptr && int8->input.rounding != InputRounding::none) return run_int8(w, *int8, bias);
    if (const auto* dense = std::get_if<Dense>(&w.format))
      return run_dense(dense->data, dense->dtype, bias, 0, w.rows());
    // One row of the weight at a time.
    std::vector<float> row(static_cast<size_t>(w.columns()));
    for (int64_t n = 0; n < w.rows(); ++n) {
      w.row_to_float(n, row.data());
      run_dense(reinterpret_cast<const std::byte*>(row.data()), DType::f32, bias, n, 1);
    }
  }

  // Columns [first, first + count) of the output; `data` holds those rows of the weight.
  void run_dense(const std::byte* data, DType dtype, const std::vector<float>& bias, int64_t first, int64_t count) {
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

  void run_int8(const Weight& w, const Int8Channel& format, const std::vector<float>& bias) {
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

  void run_op(const ir::RmsNorm& op) {
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

  void run_op(const ir::Add&) {
    std::transform(input(0).begin(), input(0).end(), input(1).begin(), output().begin(), std::plus<>());
  }
  void run_op(const ir::Mul&) {
    std::transform(input(0).begin(), input(0).end(), input(1).begin(), output().begin(), std::multiplies<>());
  }
  void run_op(const ir::Silu&) {
    std::transform(input(0).begin(), input(0).end(), output().begin(),
                   [](float x) { return x / (1.0f + std::exp(-x)); });
  }

  void run_op(const ir::Angles& op) {
    const Frequencies frequencies = rope_frequencies(op.rope, op.dim);
    for (int64_t r = 0; r < rows_; ++r) fill_angles(frequencies, position_ + r, output().data() + r * op.dim);
  }

  void run_op(const ir::Rope&) {
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

  void run_op(const ir::Attention& op) {
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
                                               .scratch = static_cast<float*>(aligned)});
    }
  }

  void run_op(const ir::Reshape&) { output() = input(0); }

  static const kernels::RowsKernel& ref_rows() { return kernels::rows_kernels().back(); }

  const ir::Graph& graph_;
  const checkpoint::Checkpoint& checkpoint_;
  int64_t context_, chunk_, vocab_;
  KvCache cache_;
  std::vector<Weight> weights_;             // by WeightId
  std::vector<std::vector<float>> values_;  // by ValueId, of the present chunk
  Probe probe_;
  int64_t position_ = 0;
  std::span<const int64_t> ids_;  // of the present chunk
  int64_t rows_ = 0;
  const ir::Node* node_ = nullptr;
};

}  // namespace

std::unique_ptr<Engine> make_reference(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint,
                                       const Options& options) {
  return std::make_unique<ReferenceEngine>(graph, checkpoint, options);
}

}  // namespace duan::engine
