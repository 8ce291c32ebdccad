#include "quant/block_quantizer.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "base/cpu.h"
#include "base/error.h"
#include "base/free_memory.h"
#include "base/log.h"
#include "engine/inputs.h"
#include "ir/subgraph.h"
#include "kernels/linear.h"
#include "quant/gptq.h"
#include "quant/module_writer.h"
#include "quant/parts.h"
#include "quant/quantized_checkpoint.h"

namespace duan::quant {
namespace {

using checkpoint::ByteSink;
using checkpoint::TensorSpec;

// Parts of a block's work, for the progress line.
constexpr double kObserved = 0.6, kRanged = 0.8;
constexpr const char* kInputs = "inputs";
constexpr const char* kScales = "scales";
constexpr const char* kRanges = "ranges";
constexpr const char* kWeights = "weights";
constexpr const char* kCarried = "errors so far";

// That stand for all of a matrix where it is measured what would become of it without smoothing.
constexpr int64_t kErrorRows = 256;

constexpr const char* kNoInputs = "no inputs tell which errors of an embedding matter";

const Adjustment kNoAdjustment;

// Appends what rows of the source became, as numbers of `dtype`: smoothing undone, and less `source` if it is given.
void keep_rounded(const RoundedRows& piece, const WeightRounding& rounding, const Adjustment& adjustment, DType dtype,
                  const SourceMatrix* source, std::vector<std::byte>& to, ThreadPool& pool) {
  const size_t columns = piece.adjusted.size() / static_cast<size_t>(piece.count), at = to.size();
  to.resize(at + piece.adjusted.size() * dtype_size(dtype));
  const std::vector<float>&divisors = adjustment.row_divisors, &factors = adjustment.column_factors;
  for_parts(pool, piece.count, 1, 8 * static_cast<int64_t>(piece.adjusted.size()),
            [&](int64_t begin, int64_t end, int) {
              std::vector<float> row(columns), before(columns);
              for (auto n = static_cast<size_t>(begin); n < static_cast<size_t>(end); ++n) {
                dequantize_row(piece.rows[n], rounding, row);
                const float divisor = divisors.empty() ? 1 : divisors[static_cast<size_t>(piece.first) + n];
                for (size_t c = 0; c < columns; ++c) row[c] *= factors.empty() ? divisor : divisor / factors[c];
                if (source != nullptr) {
                  source->read(piece.first + static_cast<int64_t>(n), 1, before.data());
                  for (size_t c = 0; c < columns; ++c) row[c] -= before[c];
                }
                store(row, dtype, to.data() + at + n * columns * dtype_size(dtype));
              }
            });
}

}  // namespace

struct BlockQuantizer::State {
  const Block& block;
  size_t index;
  std::map<std::string, InputStatistics> inputs{};  // by value, as the source's layers read them
  std::map<std::string, AbsHistogram> smoothed{};   // of values that are divided
  std::map<std::string, Adjustment> adjustments{};  // by weight
  struct Vector {                                   // a norm's weight or a bias that was divided
    DType dtype;
    std::vector<float> values;
  };
  std::map<std::string, Vector> vectors{};
  std::vector<Pair> pairs{};
  std::map<std::string, CarriedError> carried{};  // by value
  struct Became {                                 // in place of a weight of the source
    DType dtype;
    std::vector<std::byte> bytes;
  };
  bool runs_rounded = false;               // the block is run with what rounded layers became
  std::map<std::string, Became> became{};  // weights of rounded layers, if it is
  std::vector<std::byte> change{};         // what rounding changed in the weight of the last of them, as bf16

  // Weights as far as they are rounded.
  engine::WeightSource weights(const checkpoint::Checkpoint& checkpoint) const {
    return [this, source = engine::weights_of(checkpoint)](const std::string& name, const Shape& shape) {
      const auto found = became.find(name);
      if (found == became.end()) return source(name, shape);
      return Weight{name, shape, Dense{found->second.dtype, found->second.bytes.data()}};
    };
  }

  const std::vector<float>& divisors(const std::string& value) const {
    static const std::vector<float> kNone;
    for (const Pair& pair : pairs) {
      if (pair.value == value) return pair.scales.divisors;
    }
    return kNone;
  }
};

BlockQuantizer::BlockQuantizer(const models::Model& model, const std::vector<Block>& blocks,
                               const std::vector<Module>& modules, const Recipe& recipe, const CalibrationSet* samples,
                               int threads)
    : model_(model),
      blocks_(blocks),
      modules_(modules),
      recipe_(recipe),
      samples_(samples),
      carried_(samples != nullptr && recipe.propagates_error() ? part_of(*samples, recipe.propagate_tokens)
                                                               : CalibrationPart{}),
      threads_(threads > 0 ? threads : cpu_count()),
      pool_(threads_),
      smoothing_(find_smoothing(model.graph, recipe.smooth_gqa)),
      scaler_(model, modules, recipe, pool_) {}

void BlockQuantizer::run(WorkFolder& work, HiddenStates& hidden, HiddenStates& rounded, const Progress& progress) {
  State state{blocks_[work.finished()], work.finished()};
  const bool is_last = state.index + 1 == blocks_.size();
  const ir::Graph graph = ir::subgraph(model_.graph, state.block.first, state.block.last);
  check_weights(graph);
  if (samples_ != nullptr) {
    calibrate(state, graph, work, hidden, rounded, progress);
    if (is_last) {  // structs are moved: this frees them
      hidden = {};
      rounded = {};
      spare_ = {};
      read_ = {};
    }
  }
  write(state, graph, work, samples_ != nullptr && !is_last ? &hidden : nullptr, rounded, progress);
  for (const ir::WeightInfo& weight : graph.weights) {
    const SourceMatrix matrix(model_.checkpoint, weight.name, weight.shape);
    matrix.release(0, matrix.rows());
  }
}

void BlockQuantizer::check_weights(const ir::Graph& graph) {
  for (const ir::WeightInfo& weight : graph.weights) {
    SourceMatrix(model_.checkpoint, weight.name, weight.shape).check_finite(pool_);
  }
}

// ---- what layers read

const std::string& BlockQuantizer::value_read_by(const Module& module) const {
  return model_.graph.value(model_.graph.node(*module.linear).inputs[0]).name;
}

bool BlockQuantizer::is_for_gptq(const Module& module) const {
  return recipe_.uses_grams() && module.kept.empty() && module.linear && !module.embedding;
}

bool BlockQuantizer::is_rounded_last(const Module& module) const {
  const auto is_later = [&](const Module& other) { return other.block == module.block && other.kept.empty(); };
  return std::find_if(modules_.rbegin(), modules_.rend(), is_later)->name == module.name;
}

std::set<std::string> BlockQuantizer::values_of_gptq(size_t block) const {
  std::set<std::string> values;
  for (const Module& module : modules_) {
    if (module.block == block && is_for_gptq(module)) values.insert(value_read_by(module));
  }
  return values;
}

void BlockQuantizer::calibrate(State& state, const ir::Graph& graph, WorkFolder& work, HiddenStates& hidden,
                               HiddenStates& rounded, const Progress& progress) {
  const bool is_last = state.index + 1 == blocks_.size();
  Observed observed;
  ir::ValueId last_read = -1;
  for (const ir::Node& node : graph.nodes) {
    if (!std::holds_alternative<ir::Linear>(node.op)) continue;
    last_read = node.inputs[0];
    observed[graph.value(last_read).name];
  }
  // Nobody reads the logits: the head itself need not run.
  std::optional<ir::Graph> without_head;
  if (is_last) without_head = ir::up_to(graph, last_read);
  const engine::WeightSource weights = engine::weights_of(model_.checkpoint);
  const auto tokens = static_cast<double>(samples_->tokens());
  HiddenStates out = std::move(spare_);
  state.inputs =
      run_block({without_head ? *without_head : graph, weights, *samples_, threads_,
                 [&](int64_t done) { progress(kObserved * static_cast<double>(done) / tokens, kInputs); },
                 values_of_gptq(state.index), recipe_.image_weight, recipe_.compute, recipe_.rounds_inputs()},
                hidden, is_last ? nullptr : &out, observed);

  if (recipe_.scales_channels()) {
    smooth(state, graph, hidden, [&](double part) { progress(kObserved + (kRanged - kObserved) * part, kScales); });
  }

  // Ranges are those of the inputs as they will be.
  Observed again;
  ir::ValueId last_divided = -1;
  for (ir::ValueId id = 0; id < static_cast<ir::ValueId>(graph.values.size()); ++id) {
    const std::vector<float>& divisors = state.divisors(graph.value(id).name);
    if (divisors.empty()) continue;
    again[graph.value(id).name] = divisors;
    last_divided = id;
  }
  if (recipe_.method == Method::int8_static && !again.empty()) {
    const ir::Graph part = ir::up_to(graph, last_divided);
    const auto seen =
        run_block({part, weights, *samples_, threads_,
                   [&](int64_t done) {
                     progress(kObserved + (kRanged - kObserved) * static_cast<double>(done) / tokens, kRanges);
                   }},
                  hidden, nullptr, again);
    for (const auto& [value, statistics] : seen) state.smoothed.emplace(value, statistics.histogram);
  }

  work.settle();  // it was writing `hidden` and `rounded`
  if (recipe_.propagates_error() && hidden.width > 0) {
    for (const std::string& value : values_of_gptq(state.index)) {
      if (rounded.width == 0 || follows_linear(graph, value)) continue;
      state.carried.emplace(value, carried_by_input({graph, weights, carried_, threads_,
                                                     [&](int64_t) { progress(kRanged, kCarried); }, recipe_.compute},
                                                    value, hidden, rounded, pool_));
    }
    if (rounded.width == 0) rounded = of_carried(hidden);
  }
  std::swap(hidden, out);
  if (recipe_.propagates_error()) spare_ = std::move(out);
}

// The rows of the samples that the rounded model runs on.
HiddenStates BlockQuantizer::of_carried(const HiddenStates& hidden) const {
  if (carried_.set.samples.size() == samples_->samples.size()) return hidden;
  HiddenStates part{hidden.width, {}};
  part.values.reserve(static_cast<size_t>(carried_.set.tokens() * hidden.width));
  for (size_t s = 0; s < carried_.firsts.size(); ++s) {
    const auto from = hidden.values.begin() + carried_.firsts[s] * hidden.width;
    part.values.insert(part.values.end(), from,
                       from + static_cast<int64_t>(carried_.set.samples[s].size()) * hidden.width);
  }
  return part;
}

// ---- smoothing

void BlockQuantizer::smooth(State& state, const ir::Graph& graph, const HiddenStates& hidden,
                            const std::function<void(double part)>& progress) {
  std::vector<const SmoothingPair*> pairs;
  for (const SmoothingPair& pair : smoothing_.pairs) {
    if (pair.producer >= state.block.first && pair.consumers.back() < state.block.last) pairs.push_back(&pair);
  }
  const bool is_last = state.index + 1 == blocks_.size();
  Sequences rows;  // that AWQ tries scales on
  if (recipe_.method == Method::awq && !pairs.empty() && !is_last) {
    const bool whole = engine::DecoderInputs::sees_images(graph) ||
                       std::any_of(graph.nodes.begin(), graph.nodes.end(),
                                   [](const ir::Node& node) { return std::holds_alternative<ir::Attention>(node.op); });
    rows = awq_rows(hidden, *samples_, whole, recipe_.search_tokens);
  }
  for (const SmoothingPair* pair : pairs) {
    const std::string& value = model_.graph.value(pair->value).name;
    const InputStatistics& input = state.inputs.at(value);
    Pair& found = state.pairs.emplace_back(Pair{pair, value, {}});
    if (!recipe_.searches_scales()) {
      found.scales = scaler_.smoothquant(*pair, input);
    } else if (is_last) {
      found.scales.note = "what the head reads is not scaled";
    } else {
      const auto done = static_cast<double>(state.pairs.size() - 1), count = static_cast<double>(pairs.size());
      found.scales = scaler_.awq(*pair, input, graph, rows, [&](double part) { progress((done + part) / count); });
    }
    if (!found.scales.divisors.empty()) divide_producer(state, found);
  }
}

void BlockQuantizer::divide_producer(State& state, const Pair& pair) {
  const std::vector<float>& divisors = pair.scales.divisors;
  for (const ir::NodeId id : pair.pair->consumers) {
    state.adjustments[module_of(modules_, id)->weight].column_factors = divisors;
  }
  const std::vector<float> own = pair.pair->of_producer(divisors);
  const auto divide_vector = [&](ir::WeightId id) {
    const ir::WeightInfo& info = model_.graph.weight(id);
    const SourceMatrix vector(model_.checkpoint, info.name, info.shape);
    State::Vector& stored = state.vectors[info.name];
    stored = {vector.dtype(), std::vector<float>(static_cast<size_t>(vector.columns()))};
    vector.read(0, 1, stored.values.data());
    for (size_t c = 0; c < stored.values.size(); ++c) {
      stored.values[c] = nearest(vector.dtype(), stored.values[c] / own[c]);
    }
  };
  const ir::Op& op = model_.graph.node(pair.pair->producer).op;
  if (const auto* norm = std::get_if<ir::RmsNorm>(&op)) return divide_vector(norm->weight);
  const auto& linear = std::get<ir::Linear>(op);
  state.adjustments[module_of(modules_, pair.pair->producer)->weight].row_divisors = own;
  if (linear.bias) divide_vector(*linear.bias);
}

// ---- rounding and writing

// A value that is read by modules which GPTQ rounds.
struct BlockQuantizer::Inputs {
  Gram gram;  // until the first of them is rounded
  const std::vector<float>& divisors;
  std::string value;
  std::function<void()> measure{};  // what rounding has changed so far in the value, into State::carried
  bool is_last = false;             // measuring fills State::read
  std::string readers{};
  CarriedError lacking{};
  std::vector<std::byte> difference{};  // its mean instead where that is of x (x' - x)^T, as products are computed
  std::optional<Gptq> gptq{};
};

// A module to be rounded: what its error is measured on, and what is known of it before its codes are written.
struct BlockQuantizer::Job {
  const Module& module;
  const Adjustment& adjustment;
  SourceMatrix source;
  std::vector<float> rows{}, rounded{}, importance{};
  InputScheme scheme{};
  double range = 0;
  std::optional<double> before{};    // output error without smoothing, rounded to nearest
  std::shared_ptr<Inputs> inputs{};  // if GPTQ rounds it
  std::optional<ModuleWriter> writer{};
};

std::shared_ptr<BlockQuantizer::Job> BlockQuantizer::prepare(State& state, const Module& module,
                                                             const Adjustment& adjustment) {
  auto job =
      std::make_shared<Job>(Job{module, adjustment, SourceMatrix(model_.checkpoint, module.weight, module.shape)});
  const int64_t columns = module.shape[1];
  if (module.linear && samples_ != nullptr) {
    const std::string& value = value_read_by(module);
    const InputStatistics& input = state.inputs.at(value);
    const auto smoothed = state.smoothed.find(value);
    const float range = input_range(recipe_, smoothed == state.smoothed.end() ? input.histogram : smoothed->second);
    job->scheme = input_scheme(recipe_, range, module.dtype);
    job->range = range;
    if (job->scheme.rounding == InputRounding::fixed && range == 0) {
      warn("{}: every calibration input is 0; its scale is 1", module.name);
    }
    const std::vector<float>& divisors = state.divisors(value);
    job->rows = divided(input.rows, divisors);
    job->rounded = rounded_input(job->rows, columns, job->scheme);
    job->importance = column_importance(recipe_, input.mean_square, divisors);
    if (!divisors.empty() || is_for_gptq(module)) {
      const InputScheme plain = input_scheme(recipe_, input_range(recipe_, input.histogram), module.dtype);
      const std::vector<float> rounded = rounded_input(input.rows, columns, plain);
      ErrorMeter meter(input.rows, rounded, columns, kNoAdjustment);
      for_spread_rounded(job->source, kErrorRows, recipe_.weights, column_importance(recipe_, input.mean_square, {}),
                         pool_, [&](const RoundedRows& piece) { meter.add(piece, recipe_.weights, pool_); });
      job->before = meter.error().output;
    }
  }
  const bool is_fixed = job->scheme.rounding == InputRounding::fixed;
  job->writer.emplace(module, recipe_, is_fixed ? std::optional(job->scheme.scale) : std::nullopt);
  return job;
}

// Of each row of the piece, in its units, what its output lacks times what it reads (Gptq::round).
std::vector<float> BlockQuantizer::lacking(const Job& job, const RoundedRows& piece) {
  const std::vector<float>& mean = job.inputs->lacking.mean;
  if (mean.empty() && job.inputs->difference.empty()) return {};
  const int64_t columns = job.module.shape[1];
  std::vector<float> result(static_cast<size_t>(piece.count * columns));
  if (job.inputs->measure) {  // of the output itself
    std::copy_n(mean.begin() + piece.first * columns, result.size(), result.begin());
  } else {
    const DType products = products_in(recipe_.compute);
    std::vector<float> numbers(result.size());
    job.source.read(piece.first, piece.count, numbers.data());
    const std::vector<std::byte> weights = as_stored(numbers, products);
    const kernels::LinearKernel& kernel = kernels::select_linear(products, products);
    for_parts(pool_, columns, 64, piece.count * columns * columns, [&](int64_t begin, int64_t end, int) {
      kernel.run({.x = weights.data(),
                  .x_dtype = products,
                  .x_stride = columns,
                  .w = job.inputs->difference.data(),
                  .w_dtype = products,
                  .bias = nullptr,
                  .y = result.data(),
                  .y_stride = columns,
                  .rows = piece.count,
                  .first = begin,
                  .last = end,
                  .k = columns,
                  .accumulate = false});
    });
  }
  const auto& [row_divisors, column_factors] = job.adjustment;
  for (int64_t n = 0; n < piece.count; ++n) {
    const float divisor = row_divisors.empty() ? 1 : row_divisors[static_cast<size_t>(piece.first + n)];
    for (int64_t c = 0; c < columns; ++c) {
      const float factor = column_factors.empty() ? 1 : column_factors[static_cast<size_t>(c)];
      result[static_cast<size_t>(n * columns + c)] *= 1 / (divisor * factor);
    }
  }
  return result;
}

std::vector<double> BlockQuantizer::lacking_squares(const Job& job, const RoundedRows& piece) const {
  const std::vector<double>& all = job.inputs->lacking.squares;
  if (all.empty()) return {};
  std::vector<double> squares(all.begin() + piece.first, all.begin() + piece.first + piece.count);
  const std::vector<float>& divisors = job.adjustment.row_divisors;
  for (size_t n = 0; n < squares.size() && !divisors.empty(); ++n) {
    const double divisor = divisors[static_cast<size_t>(piece.first) + n];
    squares[n] /= divisor * divisor;
  }
  return squares;
}

// Before the first layer that reads the value is rounded: what all of them need to know of it.
void BlockQuantizer::start_gptq(State& state, Inputs& inputs) {
  if (inputs.measure) inputs.measure();
  if (const auto carried = state.carried.find(inputs.value); carried != state.carried.end()) {
    inputs.lacking = std::move(carried->second);
    state.carried.erase(carried);
    if (!inputs.measure) {
      inputs.difference = as_stored(inputs.lacking.mean, products_in(recipe_.compute));
      free_memory(inputs.lacking.mean);
    }
  }
  inputs.gptq.emplace(std::move(inputs.gram), inputs.divisors, inputs.readers, pool_);
  if (!inputs.lacking.mean.empty() || !inputs.difference.empty()) inputs.gptq->expect_lacking(pool_);
}

// Writes the codes; what came of it, for the report.
Json BlockQuantizer::round(State& state, Job& job, const ByteSink& sink,
                           const std::function<void(int64_t elements)>& done) {
  const Module& module = job.module;
  if (job.inputs && !job.inputs->gptq) start_gptq(state, *job.inputs);
  ErrorMeter meter(job.rows, job.rounded, module.shape[1], job.adjustment);
  double loss_before = 0, loss_after = 0, loss_rows = 0;
  std::vector<Gptq::Loss> losses;
  const DType plain = products_in(recipe_.compute);
  const bool is_last = job.inputs && job.inputs->is_last;
  std::vector<std::byte> became;
  if (state.runs_rounded && !module.embedding) {
    became.reserve(static_cast<size_t>(module.shape[0] * module.shape[1]) * dtype_size(plain));
  }
  for_each_rounded(job.source, job.adjustment, recipe_.weights, job.importance, pool_, [&](const RoundedRows& piece) {
    if (job.inputs) {
      losses.resize(piece.rows.size());
      const std::vector<float> products = lacking(job, piece);
      const std::vector<double> squares = lacking_squares(job, piece);
      job.inputs->gptq->round(piece.adjusted, recipe_.weights, piece.rows, losses, pool_,
                              {products, squares, static_cast<double>(job.inputs->lacking.tokens)});
      for (size_t n = 0; n < losses.size(); ++n) {
        // In units of the source: what was divided counts as much as before.
        const std::vector<float>& divisors = job.adjustment.row_divisors;
        const double divisor = divisors.empty() ? 1 : divisors[static_cast<size_t>(piece.first) + n];
        if (!losses[n].before) continue;
        loss_before += *losses[n].before * divisor * divisor;
        loss_after += losses[n].after * divisor * divisor;
        ++loss_rows;
      }
    }
    job.writer->add(piece, sink);
    meter.add(piece, recipe_.weights, pool_);
    if (state.runs_rounded && !module.embedding) {
      keep_rounded(piece, recipe_.weights, job.adjustment, plain, is_last ? &job.source : nullptr, became, pool_);
    }
    done(piece.count * module.shape[1]);
  });
  if (is_last) {
    state.change = std::move(became);
  } else if (!became.empty()) {
    state.became[module.weight] = {plain, std::move(became)};
  }
  free_memory(job.rows);
  free_memory(job.rounded);
  const bool by_gptq = job.inputs != nullptr;
  job.inputs.reset();
  Json record = {{"module", module.name}, {"weight_error", meter.error().weight}};
  if (module.linear && samples_ != nullptr) {
    if (job.range > 0) record["input_range"] = job.range;
    record["output_error"] = meter.error().output;
    if (job.before) record["output_error_unsmoothed"] = *job.before;
  }
  if (by_gptq) {
    record["loss_before"] = loss_before / loss_rows;
    record["loss_after"] = loss_after / loss_rows;
  } else if (recipe_.uses_grams()) {
    record["to_nearest"] = kNoInputs;
  }
  if (recipe_.weights.observer == WeightObserver::imatrix && job.importance.empty()) record["unweighted"] = kNoInputs;
  return record;
}

Json BlockQuantizer::record_of(const State& state, const Json& modules) const {
  Json pairs = Json::array();
  for (const Pair& pair : state.pairs) {
    Json consumers = Json::array();
    for (const ir::NodeId id : pair.pair->consumers) consumers.push_back(model_.graph.node(id).name);
    Json json = {{"producer", model_.graph.node(pair.pair->producer).name}, {"consumers", std::move(consumers)}};
    json.update(pair.scales.how);
    if (!pair.scales.note.empty()) json["not_smoothed"] = pair.scales.note;
    if (std::vector<float> scales = pair.scales.divisors; !scales.empty()) {
      std::sort(scales.begin(), scales.end());
      json["scales"] = {{"min", scales.front()}, {"median", scales[scales.size() / 2]}, {"max", scales.back()}};
    }
    pairs.push_back(std::move(json));
  }
  return {{"block", state.block.name}, {"modules", modules}, {"smoothing", std::move(pairs)}};
}

void BlockQuantizer::write(State& state, const ir::Graph& graph, WorkFolder& work, const HiddenStates* hidden,
                           HiddenStates& rounded, const Progress& progress) {
  std::vector<TensorSpec> specs;
  std::vector<std::function<void(const ByteSink&)>> writers;  // of their bytes
  const auto add = [&](TensorSpec spec, std::function<void(const ByteSink&)> write) {
    specs.push_back(std::move(spec));
    writers.push_back(std::move(write));
  };
  state.runs_rounded = hidden != nullptr && rounded.width > 0;
  Json records = Json::array();
  std::map<std::string, std::shared_ptr<Inputs>> for_gptq;  // by value
  const engine::WeightSource now = state.weights(model_.checkpoint);
  double elements = 0, elements_done = 0;
  const auto done = [&](int64_t count) {
    elements_done += static_cast<double>(count);
    progress(kRanged + (1 - kRanged) * elements_done / elements, kWeights);
  };
  for (const Module& module : modules_) {
    if (module.block != state.index) continue;
    elements += static_cast<double>(module.shape[0] * module.shape[1]);
    const auto known = state.adjustments.find(module.weight);
    const Adjustment& adjustment = known == state.adjustments.end() ? kNoAdjustment : known->second;
    const bool may_be_kept = !module.kept.empty() || recipe_.budget > 0;
    for (const auto& [values, ending] :
         {std::pair{&adjustment.row_divisors, kRowDivisors}, {&adjustment.column_factors, kColumnFactors}}) {
      if (values->empty() || !may_be_kept) continue;
      add({module.name + ending, DType::f32, {static_cast<int64_t>(values->size())}},
          [values = values](const ByteSink& sink) { sink(std::as_bytes(std::span(*values))); });
    }
    if (!module.kept.empty()) continue;
    const std::shared_ptr<Job> job = prepare(state, module, adjustment);
    if (is_for_gptq(module)) {
      const std::string& value = value_read_by(module);
      std::shared_ptr<Inputs>& inputs = for_gptq[value];
      if (!inputs) {
        inputs =
            std::make_shared<Inputs>(Inputs{std::move(*state.inputs.at(value).gram), state.divisors(value), value});
        if (state.runs_rounded && ends_with_reader(graph, value)) {
          inputs->is_last = recipe_.compute == engine::Compute::bf16 && is_rounded_last(module);
          inputs->measure = [&, value, is_last = inputs->is_last] {
            const CarriedRun run{graph, now, carried_, threads_, [&](int64_t) { done(0); }, recipe_.compute};
            state.carried.emplace(value, is_last ? carried_to_output(run, value, *hidden, rounded, pool_, read_)
                                                 : carried_to_output(run, value, *hidden, rounded, pool_));
            if (is_last) state.became.clear();  // nothing runs with them any more
          };
        }
      }
      inputs->readers += (inputs->readers.empty() ? "" : ", ") + module.name;
      job->inputs = inputs;
    }
    const std::vector<TensorSpec> parts = module_tensors(module, recipe_);
    add(parts[0], [&, job](const ByteSink& sink) { records.push_back(round(state, *job, sink, done)); });
    for (size_t i = 1; i < parts.size(); ++i) {
      add(parts[i], [job, spec = parts[i]](const ByteSink& sink) { job->writer->write(spec, sink); });
    }
  }
  for (const auto& [name, vector] : state.vectors) {
    add({name, vector.dtype, {static_cast<int64_t>(vector.values.size())}},
        [&vector = vector](const ByteSink& sink) { sink(as_stored(vector.values, vector.dtype)); });
  }
  for_gptq.clear();  // each is gone with the last job that needs it
  const auto finish = [&] {
    if (!state.change.empty()) {
      add_change(read_, state.change, rounded, pool_);
    } else if (state.runs_rounded) {
      HiddenStates out;
      BlockRun pass{graph, now, carried_.set, threads_, [&](int64_t) { progress(1, kCarried); }};
      pass.compute = recipe_.compute;
      run_block(pass, rounded, &out, {});
      rounded = std::move(out);
    }
    return record_of(state, records);
  };
  work.finish_block(
      finish, specs, [&](size_t index, const ByteSink& sink) { writers[index](sink); }, hidden, &rounded);
}

}  // namespace duan::quant
