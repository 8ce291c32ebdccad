#include "inspect/image_cost.h"

#include <algorithm>

#include "base/error.h"
#include "engine/image_encoder.h"
#include "engine/kv_cache.h"
#include "engine/plan.h"

namespace duan::inspect {
namespace {

constexpr int64_t kFloat = sizeof(float);

}  // namespace

int64_t ImageCost::peak_bytes() const {
  const int64_t decoded = 3 * (size.height * size.width + resized.height * resized.width);
  const int64_t reading = pixel_bytes + decoded, encoding = pixel_bytes + tower_bytes + row_bytes;
  return std::max({reading, encoding, row_bytes + kv_bytes + prompt_bytes});
}

ImageCost image_cost(const models::Model& model, const vision::PreprocessorConfig& preprocessor, vision::Size size,
                     const engine::Options& options) {
  if (!model.vision) {
    throw Error(fmt::format("a model of type {} sees no images", model.config.model_type), model.folder.string(),
                "choose a Qwen3-VL model");
  }
  const checkpoint::VisionConfig& tower = *model.config.vision;
  const vision::Grid grid = vision::grid_of(size, preprocessor);
  ImageCost cost{};
  cost.size = size;
  cost.resized = vision::resized_size(size, preprocessor);
  cost.patches = grid.patches();
  cost.tokens = grid.tokens(tower.spatial_merge_size);
  cost.pixel_bytes = cost.patches * tower.patch_values() * kFloat;
  cost.tower_bytes = engine::encoder_bytes(*model.vision, model.checkpoint, options, cost.patches);
  const auto levels = 1 + static_cast<int64_t>(tower.deepstack_visual_indexes.size());
  cost.row_bytes = levels * cost.tokens * tower.out_hidden_size * kFloat;

  const engine::WeightSource weights = engine::weights_of(model.checkpoint);
  const engine::Precision precision = engine::choose_precision(model.graph, weights, options);
  cost.kv_bytes = engine::KvCache::bytes_for(model.graph, cost.tokens, precision.kv_dtype);
  cost.prompt_bytes = engine::make_plan(model.graph, weights, options, precision, engine::PlanRows::asked).arena_bytes;
  return cost;
}

Json to_json(const ImageCost& cost) {
  return {{"width", cost.size.width},
          {"height", cost.size.height},
          {"resized_width", cost.resized.width},
          {"resized_height", cost.resized.height},
          {"patches", cost.patches},
          {"tokens", cost.tokens},
          {"pixel_bytes", cost.pixel_bytes},
          {"tower_bytes", cost.tower_bytes},
          {"row_bytes", cost.row_bytes},
          {"kv_bytes", cost.kv_bytes},
          {"prompt_bytes", cost.prompt_bytes},
          {"peak_bytes", cost.peak_bytes()}};
}

}  // namespace duan::inspect
