#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "checkpoint/config.h"
#include "checkpoint/config_keys.h"

namespace duan::checkpoint {
namespace {

constexpr int64_t kMaxWidth = int64_t{1} << 24, kMaxDepth = 1000, kMaxSide = 1024, kMaxTable = int64_t{1} << 24;

constexpr std::array kRead = std::to_array<std::string_view>(
    {"deepstack_visual_indexes", "depth", "dtype", "hidden_act", "hidden_size", "in_channels", "intermediate_size",
     "model_type", "num_heads", "num_position_embeddings", "out_hidden_size", "patch_size", "spatial_merge_size",
     "temporal_patch_size", "torch_dtype"});

std::vector<int64_t> levels(const Json& json, int64_t depth, const std::string& where) {
  constexpr const char* kKey = "deepstack_visual_indexes";
  const auto found = json.find(kKey);
  if (found == json.end() || !found->is_array()) throw Error(fmt::format("\"{}\" is not a list", kKey), where);
  std::vector<int64_t> result;
  for (const Json& item : *found) {
    const int64_t index = item.is_number_integer() ? item.get<int64_t>() : -1;
    if (index < 0 || index >= depth || (!result.empty() && index <= result.back())) {
      throw Error(fmt::format("\"{}\" is {}, expected ascending numbers of its {} blocks", kKey,
                              printable(to_text(*found), 60), depth),
                  where);
    }
    result.push_back(index);
  }
  return result;
}

}  // namespace

int64_t VisionConfig::position_side() const {
  return static_cast<int64_t>(std::llround(std::sqrt(static_cast<double>(num_position_embeddings))));
}

VisionConfig parse_vision_config(const Json& json, const std::string& where) {
  warn_of_unknown_keys(json, kRead, where);
  const auto size = [&](const char* key, int64_t fallback, int64_t most) {
    const auto value = json_or<int64_t>(json, key, fallback, where);
    if (value < 1 || value > most) throw Error(fmt::format("\"{}\" is {}, expected 1 to {}", key, value, most), where);
    return value;
  };
  // Values of the published models where transformers has them as defaults, too.
  VisionConfig c;
  c.depth = size("depth", 0, kMaxDepth);
  c.hidden_size = size("hidden_size", 0, kMaxWidth);
  c.intermediate_size = size("intermediate_size", 0, kMaxWidth);
  c.num_heads = size("num_heads", 0, kMaxWidth);
  c.in_channels = size("in_channels", 3, 3);
  c.patch_size = size("patch_size", 16, kMaxSide);
  c.temporal_patch_size = size("temporal_patch_size", 2, 2);
  c.spatial_merge_size = size("spatial_merge_size", 2, kMaxSide);
  c.num_position_embeddings = size("num_position_embeddings", 2304, kMaxTable);
  c.out_hidden_size = size("out_hidden_size", 0, kMaxWidth);
  c.deepstack_visual_indexes = levels(json, c.depth, where);
  if (c.in_channels != 3) throw Error(fmt::format("\"in_channels\" is {}, expected 3", c.in_channels), where);
  if (c.hidden_size % c.num_heads != 0 || c.head_dim() % 4 != 0) {
    throw Error(fmt::format("\"hidden_size\" {} of {} \"num_heads\" is not a head width that divides by 4",
                            c.hidden_size, c.num_heads),
                where);
  }
  if (c.position_side() * c.position_side() != c.num_position_embeddings) {
    throw Error(fmt::format("\"num_position_embeddings\" {} is not a square", c.num_position_embeddings), where);
  }
  const auto act = json_or<std::string>(json, "hidden_act", "gelu_pytorch_tanh", where);
  if (act != "gelu_pytorch_tanh") {
    throw Error(fmt::format("\"hidden_act\": \"{}\" is not supported, only gelu_pytorch_tanh", printable(act, 60)),
                where);
  }
  return c;
}

}  // namespace duan::checkpoint
