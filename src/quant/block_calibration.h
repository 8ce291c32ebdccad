// Running one block of a model over all calibration samples, and watching what its linear layers read.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "engine/plan.h"
#include "ir/graph.h"
#include "quant/calibration.h"
#include "quant/gram.h"
#include "quant/observer.h"

namespace duan::quant {

// The value handed from block to block, of all samples one after the other: [tokens of the set, width].
struct HiddenStates {
  int64_t width = 0;
  std::vector<float> values;
};

// What was seen of one value.
struct InputStatistics {
  std::vector<float> channel_max;   // [width] largest |x| of each channel, if it was asked for
  std::vector<float> channel_mean;  // [width] mean |x| of each channel, weighted
  std::vector<float> mean_square;   // [width] mean x^2 of each channel, weighted
  AbsHistogram histogram;           // of all |x|, if it was asked for
  std::vector<float> rows;          // [kept rows, width], at most kKeptRows, evenly spread over the samples
  std::optional<Gram> gram{};       // of the value as it is, weighted, if it was asked for
};

inline constexpr int64_t kKeptRows = 512;

// What to watch: values by name; each channel divided by its number first, if there are any.
using Observed = std::map<std::string, std::vector<float>>;

// The weights of a block are read where they lie; the source must not read others.
struct BlockRun {
  const ir::Graph& graph;  // made by ir::subgraph; starts with ids or with what `in` holds
  const engine::WeightSource& weights;
  const CalibrationSet& samples;
  int threads;                                      // 0: one per processor
  std::function<void(int64_t tokens)> progress{};   // after each sample, the tokens done; may throw
  std::set<std::string> grams{};                    // the observed values whose Gram matrices are wanted
  double image_weight = 1;                          // of a token that stands for a picture; all others weigh 1
  engine::Compute compute = engine::Compute::fp32;  // or bf16: of matrix products; Gram matrices: sums_in()
  bool ranges = true;                               // channel_max and histogram are wanted
};

// The type in which matrix products are computed.
inline DType products_in(engine::Compute compute) {
  return compute == engine::Compute::bf16 ? DType::bf16 : DType::f32;
}
// That in which sums over tokens are: Gram matrices, and means of products.
inline DType sums_in(engine::Compute compute) { return compute == engine::Compute::bf16 ? DType::i8 : DType::f32; }

// Runs the block over every sample. `out` gets the block's output if it is not null. The same for any number of
// threads. Throws Error naming the layers whose input is not finite.
std::map<std::string, InputStatistics> run_block(const BlockRun& run, const HiddenStates& in, HiddenStates* out,
                                                 const Observed& observed);

}  // namespace duan::quant
