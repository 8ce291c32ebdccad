#include "engine/segment.h"

#include <algorithm>

#include "base/cpu.h"
#include "base/error.h"
#include "engine/checks.h"
#include "engine/runner.h"

namespace duan::engine {
Segment::Segment(const ir::Graph& graph, const WeightSource& weights, const Options& options)
    : graph_(graph), context_(options.context), inputs_(graph) {
  Options whole = options;
  whole.chunk = options.context;
  if (options.kv_automatic) {
    whole.kv_automatic = false;
    whole.kv_dtype = DType::f32;
  }
  precision_ = choose_precision(graph, weights, whole);
  runner_ = std::make_unique<Runner>(make_plan(graph, weights, whole, precision_, PlanRows::all),
                                     KvCache(graph, options.context, precision_.kv_dtype),
                                     options.threads > 0 ? options.threads : cpu_count());
}

Segment::~Segment() = default;

int64_t Segment::width() const { return ir::width(graph_.value(graph_.outputs.at(0)).type); }
void Segment::set_probe(Probe probe) { runner_->set_probe(std::move(probe)); }

void Segment::run(std::span<const int64_t> ids, std::span<float> out, const SequenceImages* images) {
  runner_->start({.inputs = inputs_.of(ids, 0, images)});
  run(static_cast<int64_t>(ids.size()), out);
}

void Segment::run(std::span<const float> hidden, std::span<float> out, const SequenceImages* images) {
  runner_->start({.inputs = inputs_.of(hidden, 0, images)});
  run(static_cast<int64_t>(hidden.size()) / ir::width(graph_.value(DecoderInputs::handed_value(graph_)).type), out);
}

void Segment::run(int64_t tokens, std::span<float> out) {
  DUAN_CHECK(tokens <= context_, "{} tokens, made for {}", tokens, context_);
  DUAN_CHECK(out.size() == static_cast<size_t>(tokens * width()), "{} floats for {} tokens of {}", out.size(), tokens,
             width());
  if (tokens == 0) return;
  runner_->run(0, runner_->plan().steps.size(), 0, tokens);
  std::copy_n(runner_->output(), out.size(), out.begin());
}

}  // namespace duan::engine
