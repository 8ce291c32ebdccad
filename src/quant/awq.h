// AWQ (arXiv 2306.00978) as llm-compressor computes it: the scales of a smoothing pair are chosen among twenty by
// trying each, that is by rounding the scaled weights and running the module they belong to. Only weights are rounded,
// so scales follow from the source's activations alone.
//
// What it costs at the shapes of Qwen3-1.7B, in multiplications for one token of one layer and one candidate: q, k, v,
// o 12.6 M; gate, up, down 37.7 M; down alone 12.6 M; all 62.9 M, and twenty candidates 1.26 G. That is 25 times the
// layer's forward pass (50.3 M): 512 tokens take as much as the forward pass of 12,800, all tokens, for choices equal
// to llm-compressor's, 25 times the forward pass of all. A candidate is given up when it is known to be worse than the
// best.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "engine/plan.h"
#include "engine/segment.h"
#include "ir/graph.h"
#include "quant/block_calibration.h"
#include "quant/recipe.h"
#include "quant/source_matrix.h"

namespace duan::quant {

// One candidate: s = max(x^ratio, 1e-4), with duo scaling s = max(x^ratio / (w^(1 - ratio) + 1e-4), 1e-4).
struct AwqPoint {
  double ratio;
  bool duo;
};

// In the order they are tried; the first one, {0, false}, scales nothing.
//   on    no scaling, then ratios i / 18 with duo scaling
//   off   ratios i / 19
//   both  ratios i / 9, each without and with duo scaling
std::vector<AwqPoint> awq_grid(DuoScaling duo);

// How large the weights of each column are within their groups: the mean over all rows of all matrices of
// |w| / (max|w| of its group + 1e-6). All have the same columns; group_size 0: a row is one group. In [0, 1].
std::vector<double> awq_weight_means(std::span<const SourceMatrix> matrices, int64_t group_size, ThreadPool& pool);

// The scales of a candidate, > 0, with max * min = 1; 1 where they would not be finite. `x_mean` is the mean |x| of
// each channel, `w_mean` what awq_weight_means gives.
std::vector<float> awq_scales(std::span<const float> x_mean, std::span<const double> w_mean, AwqPoint point);

// Rows of one value, cut into sequences that are run one by one: values[sum of lengths, width].
struct Sequences {
  int64_t width = 0;
  std::vector<float> values;
  std::vector<int64_t> lengths;
  std::vector<const engine::SequenceImages*> images{};  // by sequence; empty: without
};

// About `wanted` rows of what a block reads; 0: all. Where `whole`, they are samples as they are, evenly spread, and up
// to twice as many rows if there would be less than four samples; otherwise single rows from everywhere, as pieces of
// no meaning.
Sequences awq_rows(const HiddenStates& hidden, const CalibrationSet& samples, bool whole, int64_t wanted);

// A block around the value that the consumers of a pair read. What scales do to the model is judged where `after` ends:
// at what the block adds to the residual stream (attention or feed-forward half, or the consumer itself if it is the
// last layer of it).
struct AwqSplit {
  ir::Graph before;  // from what the block reads to the value
  ir::Graph after;   // from the value to what the block adds
};
AwqSplit awq_split(const ir::Graph& block, const std::string& value);

// Runs a graph that ir::subgraph or ir::up_to made; the same for any number of threads.
Sequences run_sequences(const ir::Graph& graph, const engine::WeightSource& weights, const Sequences& in, int threads,
                        engine::Compute compute = engine::Compute::fp32);

// The part of a block behind a pair's value, to be run with rounded weights. Memory: the consumers' weights as floats
// (as bf16, if that is what is computed in), the rows and what becomes of them.
class AwqTrial {
 public:
  // The graph (AwqSplit::after) and what stands behind `weights` and `consumers` must outlive it. `consumers` are
  // those that will be rounded.
  AwqTrial(const ir::Graph& after, const engine::WeightSource& weights, std::vector<SourceMatrix> consumers,
           const WeightRounding& rounding, Sequences rows, ThreadPool& pool,
           engine::Compute compute = engine::Compute::fp32);
  ~AwqTrial();
  AwqTrial(const AwqTrial&) = delete;
  AwqTrial& operator=(const AwqTrial&) = delete;

  // The mean square of what rounding the consumers' weights w changes in the output: w becomes Q(w * s) / s, where Q
  // rounds to the range of the numbers in fp32, whatever the observer and the dtype of stored scales. Rows are not
  // looked at any more when the result is known to exceed `limit`; it is then a number above it. The same for any
  // number of threads.
  double loss(std::span<const float> scales, double limit);

 private:
  std::vector<SourceMatrix> consumers_;
  WeightRounding rounding_;
  Sequences rows_;
  ThreadPool& pool_;
  DType dtype_;
  std::vector<std::vector<std::byte>> matrices_;  // of the consumers, as they are tried, of dtype_
  engine::WeightSource weights_;
  std::unique_ptr<engine::Segment> segment_;
  std::vector<float> expected_, out_;  // [rows, width of the output]
};

struct AwqChoice {
  AwqPoint point{0, false};
  std::vector<float> scales{};  // empty: none is better than no scaling
  double loss_before = 0, loss_after = 0;
};

// The first candidate with the least loss. `storable` makes scales of those asked for that can be stored exactly.
AwqChoice awq_search(std::span<const float> x_mean, std::span<const double> w_mean, DuoScaling duo,
                     const std::function<std::vector<float>(const std::vector<float>&)>& storable,
                     const std::function<double(std::span<const float> scales, double limit)>& loss);

}  // namespace duan::quant
