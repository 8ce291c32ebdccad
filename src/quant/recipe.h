// What a quantization run is asked to do.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "engine/engine.h"
#include "quant/observer.h"
#include "quant/rounding.h"

namespace duan::quant {

enum class Method {
  int8_static,   // int8 weights; inputs of linear layers rounded to int8 with one calibrated scale a layer
  int8_dynamic,  // int8 weights; inputs rounded to int8 with a scale of each token's own
  rtn,           // weights rounded to the nearest number of their group, inputs not at all
  awq,           // the same after scaling channels by what calibration inputs ask for
  gptq,          // weights in groups, each rounded so that it makes up for what others did to the layer's outputs
  awq_gptq,      // the same after scaling channels
};
std::string_view method_name(Method method);  // "int8-static"

// Whether the scales of AWQ depend on weights as well as on inputs; both: each of the two is tried.
enum class DuoScaling { on, off, both };
std::string_view duo_scaling_name(DuoScaling duo);  // "on"

struct Recipe {
  Method method = Method::int8_static;
  WeightRounding weights{};  // scale_dtype is ignored: scales have the dtype of the source's weights
  RangeOptions range{};      // int8_static
  bool smooth = true;        // int8_static, and int8_dynamic with calibration samples
  // s = max|x|^alpha / max|w|^(1-alpha); unset: per pair, what makes the output error of its consumers least.
  std::optional<double> alpha{};
  // Where channels are scaled: also those of values that query heads share (GQA), by scales that are equal for them.
  bool smooth_gqa = false;
  // awq, awq_gptq: candidates; awq: about how many tokens each is tried on; 0: all, as llm-compressor does.
  DuoScaling duo = DuoScaling::on;
  int64_t search_tokens = 4096;
  // gptq, awq_gptq: what a token that stands for a picture counts in G and in the means of inputs, > 0; others count 1.
  double image_weight = 1;  // other than 1 only without propagate_error
  // gptq, awq_gptq: layers make up for what rounding changed before them, too, as a model that is rounded beside the
  // source tells. Not for the rounding of an embedding, which nothing runs with.
  bool propagate_error = true;
  int64_t propagate_tokens = 24576;  // that the rounded model runs on, about; 0: all
  // awq, gptq, awq_gptq: of the matrix products of calibration: fp32, bf16, or automatic, which is bf16 where the
  // source's weights are and the processor multiplies it directly. The others compute in fp32.
  engine::Compute compute = engine::Compute::fp32;
  // Regular expressions that may match anywhere in a module's name, or after "re:" at its beginning. Matrices that stay
  // as they are, and those that are rounded although the method leaves them (unless it rounds inputs: the embedding and
  // the head).
  std::vector<std::string> keep{}, include{};
  // Keep the layers with the largest output errors as long as the weights stay below this many percent of the source's
  // bytes; 0: none.
  double budget = 0;

  bool rounds_inputs() const { return method == Method::int8_static || method == Method::int8_dynamic; }
  // Groups or channels in packed words; else one scale a row, codes unpacked.
  bool packed() const { return !rounds_inputs(); }
  bool uses_grams() const { return method == Method::gptq || method == Method::awq_gptq; }
  bool propagates_error() const { return uses_grams() && propagate_error; }
  bool searches_scales() const { return method == Method::awq || method == Method::awq_gptq; }
  bool chooses_compute() const { return searches_scales() || uses_grams(); }
  bool needs_samples() const {
    return method == Method::int8_static || searches_scales() || uses_grams() || budget > 0 ||
           weights.observer == WeightObserver::imatrix;
  }
  bool scales_channels() const { return searches_scales() || (rounds_inputs() && smooth); }
};

Json to_json(const Recipe& recipe);

}  // namespace duan::quant
