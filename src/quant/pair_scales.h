// The scales that one smoothing pair exchanges: SmoothQuant's, chosen by what they do to the error of its consumers, or
// AWQ's, chosen by what they do to the output of the module or, where there is a Gram matrix, of its consumers.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/thread_pool.h"
#include "models/model.h"
#include "quant/awq.h"
#include "quant/block_calibration.h"
#include "quant/modules.h"
#include "quant/recipe.h"
#include "quant/smoothing.h"

namespace duan::quant {

struct PairScales {
  std::vector<float> divisors;  // of the pair's value, a number a channel; empty: it is not smoothed
  std::string note;             // why not
  Json how = Json::object();    // what chose them, for the report
};

class PairScaler {
 public:
  // Everything must outlive it.
  PairScaler(const models::Model& model, const std::vector<Module>& modules, const Recipe& recipe, ThreadPool& pool)
      : model_(model), modules_(modules), recipe_(recipe), pool_(pool) {}

  // `input`: what the consumers read.
  PairScales smoothquant(const SmoothingPair& pair, const InputStatistics& input);

  // `block` is the graph the pair is in, `rows` (awq_rows) are of what it reads. `progress` sees the part of the
  // candidates that have been tried; it may throw. The candidates are judged by the Gram matrix of the input if it is
  // there, else by running the block.
  PairScales awq(const SmoothingPair& pair, const InputStatistics& input, const ir::Graph& block, const Sequences& rows,
                 const std::function<void(double part)>& progress);

 private:
  std::vector<const Module*> rounded_consumers(const SmoothingPair& pair) const;
  // The scales that can be stored, as near to these as possible.
  std::vector<float> storable(const SmoothingPair& pair, const std::vector<float>& scales) const;
  bool is_exact(const SmoothingPair& pair) const;
  double consumers_error(const std::vector<const Module*>& consumers, const InputStatistics& input,
                         const std::vector<float>& divisors);

  const models::Model& model_;
  const std::vector<Module>& modules_;
  const Recipe& recipe_;
  ThreadPool& pool_;
};

}  // namespace duan::quant
