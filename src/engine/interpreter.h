// A graph op by op, in fp32, with the reference kernels: slow, obvious, the specification.
#pragma once

#include <span>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "engine/engine.h"
#include "engine/inputs.h"
#include "engine/kv_cache.h"
#include "kernels/rows.h"

namespace duan::engine {

class Interpreter {
 public:
  // Room for `context` positions. The graph and checkpoint must outlive it.
  Interpreter(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint, int64_t context);

  // Runs every node for `rows` rows of the inputs, in the graph's order, that stand from `position` on.
  void run(std::span<const InputRows> inputs, int64_t rows, int64_t position);

  const std::vector<float>& value(ir::ValueId id) const { return values_[static_cast<size_t>(id)]; }
  void set_probe(Probe probe) { probe_ = std::move(probe); }
  int64_t kv_bytes() const { return cache_.bytes(); }
  int64_t weight_bytes() const;

 private:
  void run_op(const ir::Embed& op);
  void run_op(const ir::BlendRows& op);
  void run_op(const ir::PutRows& op);
  void run_op(const ir::Linear& op);
  void run_op(const ir::RmsNorm& op);
  void run_op(const ir::LayerNorm& op);
  void run_op(const ir::Add& op);
  void run_op(const ir::Mul& op);
  void run_op(const ir::Silu& op);
  void run_op(const ir::Gelu& op);
  void run_op(const ir::Angles& op);
  void run_op(const ir::Rope& op);
  void run_op(const ir::Attention& op);
  void run_op(const ir::Reshape& op);
  void run_op(const ir::MergeRows& op);
  void run_op(const ir::Slice& op);
  // Columns [first, first + count) of the output; `data` holds those rows of the weight.
  void run_dense(const std::byte* data, DType dtype, const std::vector<float>& bias, int64_t first, int64_t count);
  void run_int8(const Weight& w, const Int8Channel& format, const std::vector<float>& bias);

  int64_t width(ir::ValueId id) const { return ir::width(graph_.value(id).type); }
  std::vector<float>& output() { return values_[static_cast<size_t>(node_->output)]; }
  const std::vector<float>& input(size_t i) const { return values_[static_cast<size_t>(node_->inputs[i])]; }
  std::span<const int64_t> numbers(size_t i) const;  // of an input of the graph
  int64_t input_width(size_t i) const { return width(node_->inputs[i]); }
  const ir::Dims& dims(ir::ValueId id) const { return graph_.value(id).type.dims; }
  const Weight& weight(ir::WeightId id) const { return weights_[static_cast<size_t>(id)]; }
  std::vector<float> vector(ir::WeightId id) const;
  static const kernels::RowsKernel& ref_rows() { return kernels::rows_kernels().back(); }

  const ir::Graph& graph_;
  KvCache cache_;
  std::vector<Weight> weights_;             // by WeightId
  std::vector<std::vector<float>> values_;  // by ValueId, of the present chunk
  Probe probe_;
  // What is being run; rows are those of the present node's output.
  std::span<const InputRows> inputs_;
  int64_t position_ = 0, rows_ = 0;
  const ir::Node* node_ = nullptr;
};

}  // namespace duan::engine
