// One block of a model: what its layers read is observed, smoothed, given ranges; its matrices are rounded.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "quant/block_calibration.h"
#include "quant/carried_error.h"
#include "quant/modules.h"
#include "quant/output_error.h"
#include "quant/pair_scales.h"
#include "quant/recipe.h"
#include "quant/smoothing.h"
#include "quant/work_folder.h"

namespace duan::quant {

class BlockQuantizer {
 public:
  // The part of the block that is done, in [0, 1], and what is being done; may throw to stop.
  using Progress = std::function<void(double part, const char* stage)>;

  // Everything must outlive it. `samples` is nullptr where nothing is calibrated.
  BlockQuantizer(const models::Model& model, const std::vector<Block>& blocks, const std::vector<Module>& modules,
                 const Recipe& recipe, const CalibrationSet* samples, int threads);

  // Works on block `work.finished()` and finishes it there. `hidden` is what the block before handed on in the source,
  // `rounded` in what has been rounded of it, for about recipe.propagate_tokens of the tokens (empty: the same, or
  // nobody asks); they become what this one hands on, and must stay until work.settle() is called.
  void run(WorkFolder& work, HiddenStates& hidden, HiddenStates& rounded, const Progress& progress);

 private:
  struct Pair {  // a smoothing pair of this block
    const SmoothingPair* pair;
    std::string value;
    PairScales scales;
  };
  struct State;   // of the block being worked on
  struct Job;     // a module of it that is rounded
  struct Inputs;  // a value that modules rounded by GPTQ share

  void check_weights(const ir::Graph& graph);
  void calibrate(State& state, const ir::Graph& graph, WorkFolder& work, HiddenStates& hidden, HiddenStates& rounded,
                 const Progress& progress);
  void smooth(State& state, const ir::Graph& graph, const HiddenStates& hidden,
              const std::function<void(double part)>& progress);
  void divide_producer(State& state, const Pair& pair);
  std::shared_ptr<Job> prepare(State& state, const Module& module, const Adjustment& adjustment);
  void start_gptq(State& state, Inputs& inputs);
  Json round(State& state, Job& job, const checkpoint::ByteSink& sink,
             const std::function<void(int64_t elements)>& done);
  std::vector<float> lacking(const Job& job, const RoundedRows& piece);
  HiddenStates of_carried(const HiddenStates& hidden) const;
  std::vector<double> lacking_squares(const Job& job, const RoundedRows& piece) const;
  const std::string& value_read_by(const Module& module) const;  // a linear layer
  bool is_for_gptq(const Module& module) const;
  bool is_rounded_last(const Module& module) const;          // of its block
  std::set<std::string> values_of_gptq(size_t block) const;  // those that such modules read
  Json record_of(const State& state, const Json& modules) const;
  void write(State& state, const ir::Graph& graph, WorkFolder& work, const HiddenStates* hidden, HiddenStates& rounded,
             const Progress& progress);

  const models::Model& model_;
  const std::vector<Block>& blocks_;
  const std::vector<Module>& modules_;
  const Recipe& recipe_;
  const CalibrationSet* samples_;
  CalibrationPart carried_;  // what the rounded model runs on
  // Memory that blocks hand on, because as much of it anew costs seconds a layer.
  HiddenStates spare_;
  // What the last layer of a block reads, where what rounding changed in its weight is all that is left to add.
  ReadByLast read_;
  int threads_;
  ThreadPool pool_;
  Smoothing smoothing_;
  PairScaler scaler_;
};

// Tensors of a block's file that are not the output's: what smoothing did to a matrix that is kept, as f32.
inline constexpr const char* kRowDivisors = ".smooth_row_divisors";
inline constexpr const char* kColumnFactors = ".smooth_column_factors";

}  // namespace duan::quant
