#include "quant/recipe.h"

#include "quant/gptq.h"
#include "quant/gram_trial.h"

namespace duan::quant {

std::string_view method_name(Method method) {
  switch (method) {
    case Method::int8_static:
      return "int8-static";
    case Method::int8_dynamic:
      return "int8-dynamic";
    case Method::rtn:
      return "rtn";
    case Method::awq:
      return "awq";
    case Method::gptq:
      return "gptq";
    case Method::awq_gptq:
      return "awq-gptq";
  }
  return "?";
}

std::string_view duo_scaling_name(DuoScaling duo) {
  switch (duo) {
    case DuoScaling::on:
      return "on";
    case DuoScaling::off:
      return "off";
    case DuoScaling::both:
      return "both";
  }
  return "?";
}

Json to_json(const Recipe& recipe) {
  Json json = {{"method", method_name(recipe.method)},
               {"bits", recipe.weights.bits},
               {"group_size", recipe.weights.group_size},
               {"symmetric", recipe.weights.symmetric},
               {"weight_observer", weight_observer_name(recipe.weights.observer)},
               {"narrow", recipe.weights.narrow},
               {"keep", recipe.keep},
               {"include", recipe.include},
               {"budget", recipe.budget}};
  if (recipe.method == Method::int8_static) {
    json["observer"] = range_method_name(recipe.range.method);
    if (recipe.range.method == RangeMethod::percentile) json["percentile"] = recipe.range.percentile;
  }
  if (recipe.rounds_inputs()) {
    json["smooth"] = recipe.smooth;
    if (recipe.smooth) json["smooth_alpha"] = recipe.alpha ? Json(*recipe.alpha) : Json("auto");
  }
  if (recipe.scales_channels()) json["smooth_gqa"] = recipe.smooth_gqa;
  if (recipe.searches_scales()) json["duo_scaling"] = duo_scaling_name(recipe.duo);
  if (recipe.method == Method::awq) json["search_tokens"] = recipe.search_tokens;
  if (recipe.method == Method::awq_gptq) json["search_rows"] = kTrialRows;
  if (recipe.chooses_compute()) json["compute"] = engine::compute_name(recipe.compute);
  if (recipe.uses_grams()) {
    json["damping"] = kGptqDamping;
    json["image_token_weight"] = recipe.image_weight;
    json["carried_part"] = recipe.propagates_error() ? kCarriedPart : 0;
    if (recipe.propagates_error()) json["propagate_tokens"] = recipe.propagate_tokens;
  }
  return json;
}

}  // namespace duan::quant
