// Part of a model run on its own: one block of layers over whole sequences, so that a model larger than memory can be
// calibrated block by block.
#pragma once

#include <memory>
#include <span>

#include "engine/engine.h"
#include "engine/inputs.h"
#include "engine/plan.h"

namespace duan::engine {

class Runner;

class Segment {
 public:
  // `graph` is one that ir::subgraph made: it reads token ids or is handed one float value. It must outlive the
  // segment, like the memory of the weights. options.context is the longest sequence; kv_dtype is f32 unless told.
  Segment(const ir::Graph& graph, const WeightSource& weights, const Options& options);
  ~Segment();

  // Runs one sequence from its first token: ids, or hidden [tokens, width of the value it is handed]. `out` gets the
  // output, [tokens, width()]. Of the images, which may reach beyond the sequence, places count in every part, rows in
  // those that read them; without any, every token is text.
  void run(std::span<const int64_t> ids, std::span<float> out, const SequenceImages* images = nullptr);
  void run(std::span<const float> hidden, std::span<float> out, const SequenceImages* images = nullptr);

  int64_t width() const;  // of the output
  void set_probe(Probe probe);

 private:
  void run(int64_t tokens, std::span<float> out);

  const ir::Graph& graph_;
  int64_t context_;
  Precision precision_;
  DecoderInputs inputs_;
  std::unique_ptr<Runner> runner_;
};

}  // namespace duan::engine
