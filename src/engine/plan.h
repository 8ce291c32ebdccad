// A graph compiled for the native engine: steps in order, buffers with fixed places in one arena, kernels chosen.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "engine/engine.h"
#include "engine/int8_rows.h"
#include "ir/graph.h"
#include "kernels/attention.h"
#include "kernels/dequantize.h"
#include "kernels/linear.h"
#include "kernels/linear_int16.h"
#include "kernels/linear_int8.h"
#include "kernels/rows.h"
#include "tensor/angles.h"

namespace duan::engine {

using BufferId = int32_t;

// Activations of one value: `width` elements for each row (token) of a chunk.
struct Buffer {
  int64_t width;
  DType dtype;                    // f32, bf16 where only bf16 matrix products read it, or i8: rounded input
  int64_t merged = 1;             // rows of the chunk that one of its rows stands for
  bool per_slice = false;         // holds the rows of one slice of the tail, not of the chunk: logits
  int32_t first_step, last_step;  // live from the step that makes it to the last that reads it
  int64_t offset = 0;             // bytes in the arena
};

// `input`, `ids`, ...: index into the graph's inputs.
struct InputStep {  // a float value the graph is handed
  size_t input;
  BufferId out;
};

struct EmbedStep {
  Weight weight;
  size_t ids;
  BufferId out;
};

struct BlendRowsStep {
  Weight weight;
  size_t ids;
  int64_t count;  // rows that are blended
  BufferId shares, out;
};

struct PutRowsStep {
  BufferId x, rows;
  size_t mask;
  BufferId out;
};

struct AnglesStep {
  Frequencies frequencies;
  size_t positions;
  int64_t axes;
  BufferId out;
};

// RMS norm over groups of `weight.size()` elements; a whole row is one group.
struct NormStep {
  BufferId in, out;
  std::vector<float> weight;
  float eps;
};

struct LayerNormStep {
  BufferId in, out;
  std::vector<float> weight, bias;
  float eps;
};

// How a matrix is multiplied.
struct FloatKernels {
  const kernels::LinearKernel* any_rows;
  const kernels::LinearInt16Kernel* many_rows;  // takes its place from kernels::kInt16Rows rows on; nullptr: never
};
struct DenseProduct {  // rows of plain numbers, read where they lie
  FloatKernels kernels;
};
struct DequantizedProduct {  // a few rows at a time made plain in a scratch buffer, then multiplied
  const kernels::DequantizeKernel* dequantize;
  FloatKernels kernels;
  bool direct_row;  // a single row goes through any_rows->row, which reads the codes
};
struct Int8Product {  // codes times codes
  const kernels::LinearInt8Kernel* kernel;
  std::vector<float> w_scales;
  BufferId x_scales;
};

// One matrix of a linear step. Columns of several parts are shared out over the threads as one range.
struct LinearPart {
  Weight weight;
  std::vector<float> bias;  // empty: none
  std::variant<DenseProduct, DequantizedProduct, Int8Product> product;
  BufferId in, out;
};

// Rounds the rows of `in` to int8 for the integer products that read them.
struct RoundInputStep {
  BufferId in, codes, scales;
  InputScheme scheme;
  const kernels::LinearInt8Kernel* kernel;
};

struct LinearStep {
  std::vector<LinearPart> parts;
  bool accumulate = false;  // fusion "residual": adds into `out`, which holds the other summand
};

// out = silu(gate x) * (up x): fusion "gate_up". The parts' `out` are the unrounded products, used within the step.
struct GateUpStep {
  LinearPart gate, up;
  BufferId out;
};

struct RopeStep {
  BufferId in, angles, out;
  int64_t heads, head_dim;
};

// Stores keys and values, then attends. With the fusion "norm_rope" the norms and rotations of q and k happen here,
// in place on the buffers of their projections, by the thread that needs them.
struct AttentionStep {
  BufferId q, k, v, out;
  std::optional<BufferId> angles;     // fused: rotate q and k
  std::vector<float> q_norm, k_norm;  // fused: [head_dim], empty: none
  float eps = 0;
  int32_t cache;
  bool causal;
  float scale;
  int64_t heads, kv_heads, head_dim;
  const kernels::AttentionKernel* kernel;
};

struct AddStep {
  BufferId a, b, out;
};
struct MulStep {
  BufferId a, b, out;
};
struct SiluStep {
  BufferId in, out;
};
struct GeluStep {
  BufferId in, out;
  bool tanh;  // else erf
};
struct CastStep {  // f32 -> bf16
  BufferId in, out;
};
struct SliceStep {  // columns of `in` from `first` on
  BufferId in, out;
  int64_t first;
};
struct MergeRowsStep {  // the same numbers in longer rows
  BufferId in, out;
};

struct Step {
  std::variant<InputStep, EmbedStep, BlendRowsStep, PutRowsStep, AnglesStep, NormStep, LayerNormStep, RoundInputStep,
               LinearStep, GateUpStep, RopeStep, AttentionStep, AddStep, MulStep, SiluStep, GeluStep, CastStep,
               SliceStep, MergeRowsStep>
      work;
  int64_t merged = 1;                                   // rows of the chunk that one of its rows stands for
  std::vector<std::pair<ir::ValueId, BufferId>> makes;  // graph values complete after it, for the probe
};

struct Plan {
  std::vector<Buffer> buffers;
  std::vector<Step> steps;
  // Steps from here on work row by row: they run only for the rows whose logits are asked for, `slice_rows` at a time.
  size_t tail_begin = 0;
  int64_t chunk_rows = 0, slice_rows = 0;
  std::vector<BufferId> outputs;  // of the graph: the logits, or what a part of it hands on
  int64_t arena_bytes = 0;
  int64_t weight_bytes = 0;
  int64_t scratch_bytes = 0;  // each thread's, for rows made plain
  const kernels::RowsKernel* rows = nullptr;
};

// Rows of a quantized weight of so many columns that are made plain at a time: 16 stay in the caches; many rows of x,
// which are packed anew for each time, want up to 128, or 512 Ki elements of each thread's memory.
inline int64_t dequantized_rows(int64_t x_rows, int64_t columns) {
  constexpr int64_t kFew = 16, kMost = 128, kElements = int64_t{1} << 19;
  return x_rows < 32 ? kFew : std::clamp(kElements / (columns + 1) / kFew * kFew, kFew, kMost);
}

// The fusions a plan may use; Options::disabled_fusions turns them off:
//   "shared_input"  linears that read the same value run as one step (q, k, v)
//   "gate_up"       silu(gate x) * (up x) in one step
//   "residual"      x + linear(y) accumulates into x
//   "norm_rope"     norms and rotations of q and k inside attention
//   "split_linear"  slices of linear(x) as products with those rows of the matrix
std::vector<std::string> fusion_names();

// Where weights come from: a checkpoint, or one with some of its weights replaced. Throws Error if there is none of
// this name and shape.
using WeightSource = std::function<Weight(const std::string& name, const Shape& shape)>;
WeightSource weights_of(const checkpoint::Checkpoint& checkpoint);  // which must outlive it

struct Precision {
  Compute compute = Compute::fp32;  // fp32, int16 or bf16: of the inputs of matrix products in floating point
  DType kv_dtype = DType::f32;
};

// What options.compute and options.kv_dtype mean for this graph on this machine.
Precision choose_precision(const ir::Graph& graph, const WeightSource& weights, const Options& options);

// Rows whose output is computed: those asked for, in slices after the last attention, or all of a chunk at once.
enum class PlanRows { asked, all };

// Throws Error for an unknown fusion or an absent weight.
Plan make_plan(const ir::Graph& graph, const WeightSource& weights, const Options& options, const Precision& precision,
               PlanRows rows);

// Gives each buffer its place: buffers that live at the same time do not overlap. Sets offsets and arena_bytes.
void place_buffers(Plan& plan);

}  // namespace duan::engine
