// Which per-channel scales may change hands without changing what a graph computes.
//
// If `producer` alone makes a value and `consumers` alone read it, then dividing channel c of what the producer makes
// by s[c] > 0 and multiplying column c of every consumer's matrix by s[c] cancels. SmoothQuant and AWQ choose s; this
// file only says where they may. Found by walking the graph: no name of a layer plays a part.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace duan::quant {

struct SmoothingPair {
  ir::NodeId producer;                // RmsNorm (its weight is divided) or Linear (its rows and its bias)
  std::vector<ir::NodeId> consumers;  // Linear nodes, in the order they run; their columns are multiplied
  ir::ValueId value;                  // what the consumers read: one channel per column
  // Heads of the value that come of one head of the producer: query heads that share values (GQA). 1: each column of
  // the consumers has a channel of the producer to itself.
  int64_t sharing = 1;
  int64_t head_dim = 0;  // if sharing > 1

  // Scales of columns (one each), made equal where columns share a channel: their mean.
  std::vector<float> shared(std::span<const float> scales) const;
  // Of shared scales, those of the producer's channels.
  std::vector<float> of_producer(std::span<const float> scales) const;
};

struct SmoothingRefusal {
  std::optional<ir::NodeId> producer;  // if the walk reached one
  std::vector<ir::NodeId> consumers;
  ir::ValueId value;
  std::string reason;  // one sentence without a full stop
};

// Every value that Linear nodes read is in exactly one of the two lists, in the order of the graph.
struct Smoothing {
  std::vector<SmoothingPair> pairs;
  std::vector<SmoothingRefusal> refused;
};

// `share_heads`: values that query heads share may be divided, too, by scales that are equal for those heads; otherwise
// they are refused, as llm-compressor does.
Smoothing find_smoothing(const ir::Graph& graph, bool share_heads = false);

// "a -> b, c", refusals with their reason, one a line.
std::string print(const ir::Graph& graph, const Smoothing& smoothing);

}  // namespace duan::quant
