#include "quant/pair_scales.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "base/log.h"
#include "quant/gram_trial.h"
#include "quant/output_error.h"
#include "quant/smoothquant.h"

namespace duan::quant {
namespace {

// Tried where --smooth-alpha is "auto", besides no smoothing.
constexpr double kAlphas[] = {0.3, 0.4, 0.5, 0.6, 0.7, 0.8};

// The largest |w| of each column of all the matrices.
std::vector<float> column_max(const models::Model& model, const std::vector<const Module*>& modules) {
  std::vector<float> most(static_cast<size_t>(modules.front()->shape[1]), 0.0f), values;
  for (const Module* module : modules) {
    const SourceMatrix matrix(model.checkpoint, module->weight, module->shape);
    const int64_t piece = rows_at_once(matrix.columns());
    for (int64_t first = 0; first < matrix.rows(); first += piece) {
      const int64_t count = std::min(piece, matrix.rows() - first);
      values.resize(static_cast<size_t>(count * matrix.columns()));
      matrix.read(first, count, values.data());
      for (size_t i = 0; i < values.size(); ++i) {
        float& column = most[i % most.size()];
        column = std::max(column, std::abs(values[i]));
      }
    }
  }
  return most;
}

}  // namespace

std::vector<const Module*> PairScaler::rounded_consumers(const SmoothingPair& pair) const {
  std::vector<const Module*> rounded;
  for (const ir::NodeId id : pair.consumers) {
    const Module* module = module_of(modules_, id);
    if (module->kept.empty()) rounded.push_back(module);
  }
  return rounded;
}

// Whether scales must be powers of two: where a divided or multiplied number is stored without being rounded to codes.
bool PairScaler::is_exact(const SmoothingPair& pair) const {
  if (recipe_.budget > 0) return true;  // any layer may be kept in the end
  const auto kept = [&](ir::NodeId id) { return !module_of(modules_, id)->kept.empty(); };
  if (std::any_of(pair.consumers.begin(), pair.consumers.end(), kept)) return true;
  const auto* linear = std::get_if<ir::Linear>(&model_.graph.node(pair.producer).op);
  return linear != nullptr && (linear->bias || kept(pair.producer));
}

std::vector<float> PairScaler::storable(const SmoothingPair& pair, const std::vector<float>& scales) const {
  const std::vector<float> equal = pair.shared(scales);
  const std::vector<float> exact = is_exact(pair) ? powers_of_two(equal) : equal;
  const auto* norm = std::get_if<ir::RmsNorm>(&model_.graph.node(pair.producer).op);
  if (norm == nullptr) return exact;
  const ir::WeightInfo& info = model_.graph.weight(norm->weight);
  const SourceMatrix weight(model_.checkpoint, info.name, info.shape);
  std::vector<float> numbers(static_cast<size_t>(weight.columns()));
  weight.read(0, 1, numbers.data());
  return scales_of_norm(exact, numbers, weight.dtype());
}

PairScales PairScaler::smoothquant(const SmoothingPair& pair, const InputStatistics& input) {
  PairScales chosen;
  const std::vector<const Module*> rounded = rounded_consumers(pair);
  if (rounded.empty()) {
    chosen.note = "its consumers are kept";
    return chosen;
  }
  const std::vector<float> weight_max = column_max(model_, rounded);
  const auto scales_for = [&](double alpha) {
    return storable(pair, smoothing_scales(input.channel_max, weight_max, alpha));
  };
  if (recipe_.alpha) {
    chosen.how["alpha"] = *recipe_.alpha;
    chosen.divisors = scales_for(*recipe_.alpha);
    return chosen;
  }
  double least = consumers_error(rounded, input, {});
  for (const double alpha : kAlphas) {
    std::vector<float> scales = scales_for(alpha);
    const double error = consumers_error(rounded, input, scales);
    if (error >= least) continue;
    least = error;
    chosen.how["alpha"] = alpha;
    chosen.divisors = std::move(scales);
  }
  if (chosen.divisors.empty()) chosen.note = "no alpha made the error of its consumers less";
  return chosen;
}

PairScales PairScaler::awq(const SmoothingPair& pair, const InputStatistics& input, const ir::Graph& block,
                           const Sequences& rows, const std::function<void(double)>& progress) {
  PairScales chosen;
  std::vector<SourceMatrix> consumers;
  for (const Module* module : rounded_consumers(pair)) {
    consumers.emplace_back(model_.checkpoint, module->weight, module->shape);
  }
  if (consumers.empty()) {
    chosen.note = "its consumers are kept";
    return chosen;
  }
  if (std::all_of(input.channel_mean.begin(), input.channel_mean.end(), [](float x) { return x == 0; })) {
    chosen.note = "every calibration input is 0";
    warn("{}: {}; its columns are not scaled", model_.graph.node(pair.consumers.front()).name, chosen.note);
    return chosen;
  }
  const std::vector<double> weight_means = awq_weight_means(consumers, recipe_.weights.group_size, pool_);
  std::function<double(std::span<const float>, double)> loss_of;
  std::optional<GramTrial> from_gram;
  std::optional<AwqSplit> split;
  std::unique_ptr<AwqTrial> from_runs;
  if (input.gram) {
    from_gram.emplace(*input.gram, consumers, recipe_.weights, kTrialRows, pool_);
    loss_of = [&](std::span<const float> scales, double limit) { return from_gram->loss(scales, limit); };
  } else {
    split = awq_split(block, model_.graph.value(pair.value).name);
    const engine::WeightSource weights = engine::weights_of(model_.checkpoint);
    from_runs = std::make_unique<AwqTrial>(
        split->after, weights, std::move(consumers), recipe_.weights,
        run_sequences(split->before, weights, rows, pool_.threads(), recipe_.compute), pool_, recipe_.compute);
    loss_of = [&](std::span<const float> scales, double limit) { return from_runs->loss(scales, limit); };
  }
  const auto candidates = static_cast<double>(awq_grid(recipe_.duo).size());
  double tried = 0;
  AwqChoice choice = awq_search(
      input.channel_mean, weight_means, recipe_.duo,
      [&](const std::vector<float>& scales) { return storable(pair, scales); },
      [&](std::span<const float> scales, double limit) {
        const double loss = loss_of(scales, limit);
        progress(++tried / candidates);
        return loss;
      });
  chosen.how = {{"ratio", choice.point.ratio},
                {"duo_scaling", choice.point.duo},
                {"loss_before", choice.loss_before},
                {"loss_after", choice.loss_after}};
  chosen.divisors = std::move(choice.scales);
  if (chosen.divisors.empty()) chosen.note = "no scales made the error of the module less";
  return chosen;
}

// Sum of squares of the relative output errors.
double PairScaler::consumers_error(const std::vector<const Module*>& consumers, const InputStatistics& input,
                                   const std::vector<float>& divisors) {
  const std::vector<float> rows = divided(input.rows, divisors);
  AbsHistogram histogram;
  histogram.add(rows);
  const float range = input_range(recipe_, histogram);
  const std::vector<float> importance = column_importance(recipe_, input.mean_square, divisors);
  double sum = 0;
  for (const Module* module : consumers) {
    const SourceMatrix matrix(model_.checkpoint, module->weight, module->shape);
    const std::vector<float> rounded =
        rounded_input(rows, matrix.columns(), input_scheme(recipe_, range, matrix.dtype()));
    const Adjustment adjustment{{}, divisors};
    ErrorMeter meter(rows, rounded, matrix.columns(), adjustment);
    for_each_rounded(matrix, adjustment, recipe_.weights, importance, pool_,
                     [&](const RoundedRows& piece) { meter.add(piece, recipe_.weights, pool_); });
    sum += meter.error().output * meter.error().output;
  }
  return sum;
}

}  // namespace duan::quant
