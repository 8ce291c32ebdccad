#include <algorithm>
#include <cmath>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "vision/preprocessor.h"

namespace duan::vision {
namespace {

constexpr JsonLimits kLimits{.max_bytes = 1u << 20, .max_depth = 16};
constexpr int64_t kMaxPixels = int64_t{1} << 31;

// What says nothing about the arithmetic, or about a video how its frames are chosen, which is the caller's.
constexpr std::array kHarmless = std::to_array<std::string_view>({"auto_map",
                                                                  "crop_size",
                                                                  "data_format",
                                                                  "default_to_square",
                                                                  "device",
                                                                  "disable_grouping",
                                                                  "do_sample_frames",
                                                                  "feature_extractor_type",
                                                                  "fps",
                                                                  "image_processor_type",
                                                                  "input_data_format",
                                                                  "max_frames",
                                                                  "max_video_tokens",
                                                                  "min_frames",
                                                                  "model_input_names",
                                                                  "num_frames",
                                                                  "pad_size",
                                                                  "processor_class",
                                                                  "return_metadata",
                                                                  "return_tensors",
                                                                  "valid_kwargs",
                                                                  "video_metadata",
                                                                  "video_processor_type"});
constexpr std::array kRead = std::to_array<std::string_view>(
    {"image_mean", "image_std", "max_pixels", "merge_size", "min_pixels", "patch_size", "size", "temporal_patch_size"});
// Keys whose only supported value is this one.
struct Fixed {
  std::string_view key;
  bool value;
};
constexpr std::array kFixed = std::to_array<Fixed>({{"do_resize", true},
                                                    {"do_rescale", true},
                                                    {"do_normalize", true},
                                                    {"do_convert_rgb", true},
                                                    {"do_center_crop", false},
                                                    {"do_pad", false},
                                                    {"cap_pixels_per_frame", false}});

int64_t in_range(const Json& json, const char* key, int64_t fallback, int64_t low, int64_t high,
                 const std::string& where) {
  const int64_t value = json_or<int64_t>(json, key, fallback, where);
  if (value < low || value > high) {
    throw Error(fmt::format("\"{}\" is {}, expected {} to {}", key, value, low, high), where);
  }
  return value;
}

std::array<float, 3> three(const Json& json, const char* key, std::array<float, 3> fallback, bool positive,
                           const std::string& where) {
  if (!json.contains(key) || json[key].is_null()) return fallback;
  const Json& list = json[key];
  const bool good =
      list.is_array() && list.size() == 3 && std::all_of(list.begin(), list.end(), [&](const Json& v) {
        return v.is_number() && std::abs(v.get<double>()) <= 1000 && (!positive || v.get<double>() >= 1e-6);
      });
  if (!good) throw Error(fmt::format("\"{}\" is {}, expected three numbers", key, to_text(list)), where);
  return {list[0].get<float>(), list[1].get<float>(), list[2].get<float>()};
}

void check_fixed(const Json& json, const std::string& where) {
  for (const Fixed& fixed : kFixed) {
    if (json_or<bool>(json, std::string(fixed.key), fixed.value, where) != fixed.value) {
      throw Error(fmt::format("\"{}\" is {}, which is not supported", fixed.key, !fixed.value), where);
    }
  }
  constexpr int64_t bicubic = 3;  // PIL's number
  if (const int64_t resample = json_or<int64_t>(json, "resample", bicubic, where); resample != bicubic) {
    throw Error(fmt::format("\"resample\" is {}, only {} (bicubic) is supported", resample, bicubic), where);
  }
  const double factor = json_or<double>(json, "rescale_factor", 1 / 255.0, where);
  if (std::abs(factor - 1 / 255.0) > 1e-9) {
    throw Error(fmt::format("\"rescale_factor\" is {}, only 1/255 is supported", factor), where);
  }
  for (const char* key : {"image_processor_type", "video_processor_type"}) {
    const std::string type = json_or<std::string>(json, key, "", where);
    if (!type.empty() && type.find("Qwen2VL") == type.npos && type.find("Qwen3VL") == type.npos) {
      throw Error(fmt::format("\"{}\" is \"{}\", only Qwen3-VL's is supported", key, printable(type)), where);
    }
  }
}

void warn_of_unknown(const Json& json, const std::string& where) {
  for (const auto& [key, value] : json.items()) {
    const auto is_key = [&key = key](std::string_view known) { return known == key; };
    const bool known = std::any_of(kHarmless.begin(), kHarmless.end(), is_key) ||
                       std::any_of(kRead.begin(), kRead.end(), is_key) || key == "resample" ||
                       key == "rescale_factor" ||
                       std::any_of(kFixed.begin(), kFixed.end(), [&](const Fixed& fixed) { return is_key(fixed.key); });
    if (!known && !value.is_null()) warn("{}: \"{}\" is not known and is ignored", where, printable(key));
  }
}

// "size" holds areas under the names of sides; "min_pixels" and "max_pixels" beside it win, as in transformers.
void read_areas(const Json& json, PreprocessorConfig& config, const std::string& where) {
  if (json.contains("size") && !json["size"].is_null()) {
    const Json& size = json["size"];
    if (!size.is_object()) throw Error("\"size\" is not an object", where);
    for (const auto& [key, value] : size.items()) {
      if (key != "shortest_edge" && key != "longest_edge" && !value.is_null()) {
        throw Error(fmt::format("\"size\" has \"{}\", expected \"shortest_edge\" and \"longest_edge\"", printable(key)),
                    where);
      }
    }
    config.min_pixels = in_range(size, "shortest_edge", config.min_pixels, 1, kMaxPixels, where);
    config.max_pixels = in_range(size, "longest_edge", config.max_pixels, 1, kMaxPixels, where);
  }
  config.min_pixels = in_range(json, "min_pixels", config.min_pixels, 1, kMaxPixels, where);
  config.max_pixels = in_range(json, "max_pixels", config.max_pixels, 1, kMaxPixels, where);
  if (config.min_pixels > config.max_pixels) {
    throw Error(fmt::format("at least {} pixels and at most {} are asked for", config.min_pixels, config.max_pixels),
                where);
  }
}

PreprocessorConfig read(const std::filesystem::path& file, PreprocessorConfig config) {
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return config;
  const Json json = read_json(file, kLimits);
  const std::string where = file.string();
  if (!json.is_object()) throw Error("is not a JSON object", where);
  check_fixed(json, where);
  read_areas(json, config, where);
  config.patch_size = in_range(json, "patch_size", config.patch_size, 1, 64, where);
  config.merge_size = in_range(json, "merge_size", config.merge_size, 1, 8, where);
  config.temporal_patch_size = in_range(json, "temporal_patch_size", config.temporal_patch_size, 2, 2, where);
  config.mean = three(json, "image_mean", config.mean, false, where);
  config.std = three(json, "image_std", config.std, true, where);
  warn_of_unknown(json, where);
  return config;
}

}  // namespace

PreprocessorConfig PreprocessorConfig::load(const std::filesystem::path& folder) {
  return read(folder / "preprocessor_config.json", {});
}

PreprocessorConfig PreprocessorConfig::load_video(const std::filesystem::path& folder) {
  PreprocessorConfig config;
  config.min_pixels = 4096;
  config.max_pixels = 25165824;
  return read(folder / "video_preprocessor_config.json", config);
}

}  // namespace duan::vision
