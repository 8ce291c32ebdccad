#include "cli/image_reader.h"

#include <chrono>

#include "base/error.h"
#include "vision/decode.h"
#include "vision/positions.h"

namespace duan::cli {
namespace {

using Clock = std::chrono::steady_clock;

vision::PreprocessorConfig with_options(vision::PreprocessorConfig config, const ImageOptions& options) {
  if (options.min_pixels > 0) config.min_pixels = options.min_pixels;
  if (options.max_pixels > 0) config.max_pixels = options.max_pixels;
  if (config.min_pixels > config.max_pixels) {
    throw Error(fmt::format("{} is more than the {} of --max-pixels", config.min_pixels, config.max_pixels),
                "--min-pixels", "both are areas: width times height after resizing");
  }
  return config;
}

void check_sizes(const vision::PreprocessorConfig& preprocessor, const checkpoint::VisionConfig& tower,
                 const std::filesystem::path& folder) {
  const auto check = [&](const char* key, int64_t stated, int64_t of_tower) {
    if (stated == of_tower) return;
    throw Error(fmt::format("\"{}\" is {}, the vision tower has {}", key, stated, of_tower),
                (folder / "preprocessor_config.json").string(), "the file may belong to another model");
  };
  check("patch_size", preprocessor.patch_size, tower.patch_size);
  check("merge_size", preprocessor.merge_size, tower.spatial_merge_size);
  check("temporal_patch_size", preprocessor.temporal_patch_size, tower.temporal_patch_size);
}

}  // namespace

ImageReader::ImageReader(const std::filesystem::path& folder, const checkpoint::ModelConfig& config,
                         std::unique_ptr<engine::ImageEncoder> encoder, const ImageOptions& options)
    : preprocessor_(with_options(vision::PreprocessorConfig::load(folder), options)),
      video_(vision::PreprocessorConfig::load_video(folder)),
      encoder_(std::move(encoder)) {
  if (!config.vision) {
    throw Error(fmt::format("a model of type {} sees no images", config.model_type), folder.string(),
                "choose a Qwen3-VL model");
  }
  config_ = *config.vision;
  check_sizes(preprocessor_, config_, folder);
}

ReadImage ImageReader::encode(const vision::Patches& patches) {
  ReadImage result;
  result.hash = patches.hash;
  auto& known = known_[patches.hash];
  if (known == nullptr) {
    const int64_t merge = config_.spatial_merge_size;
    const std::vector<int64_t> positions = vision::patch_positions(patches.grid, merge);
    const vision::TableRows table = vision::interpolate_table(patches.grid, config_.position_side(), merge);
    known = std::make_shared<engine::ImageFeatures>(encoder_->encode({.rows = patches.grid.h / merge,
                                                                      .columns = patches.grid.w / merge,
                                                                      .pixels = patches.values,
                                                                      .positions = positions,
                                                                      .table_rows = table.rows,
                                                                      .table_shares = table.weights}));
  }
  result.features = known;
  result.resized = {patches.grid.h * config_.patch_size, patches.grid.w * config_.patch_size};
  return result;
}

ReadImage ImageReader::read(const vision::Image& image) {
  const auto start = Clock::now();
  ReadImage result = encode(vision::preprocess(image, preprocessor_));
  result.size = {image.height, image.width};
  result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return result;
}

ReadImage ImageReader::read(const std::filesystem::path& file) {
  const auto start = Clock::now();
  try {
    ReadImage result = read(vision::read_image(file));
    result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    return result;
  } catch (const Error& e) {
    throw e.where().empty() ? e.at(file.string()) : e;
  }
}

std::vector<ReadImage> ImageReader::read_frames(const std::vector<std::filesystem::path>& files) {
  std::vector<vision::Image> frames;
  for (const auto& file : files) {
    frames.push_back(vision::read_image(file));
    if (frames.back().height == frames[0].height && frames.back().width == frames[0].width) continue;
    throw Error(fmt::format("is {} x {} pixels, the first frame {} x {}", frames.back().width, frames.back().height,
                            frames[0].width, frames[0].height),
                file.string(), "the frames of a video have one size");
  }
  if (frames.empty()) throw Error("names no frames", "--video-frames");
  const vision::Size common = vision::smart_resize_video(static_cast<int64_t>(frames.size()),
                                                         {frames[0].height, frames[0].width}, video_.limits());
  if (frames.size() % 2 != 0) frames.push_back(frames.back());
  std::vector<ReadImage> pairs;
  for (size_t i = 0; i < frames.size(); i += 2) {
    const auto start = Clock::now();
    pairs.push_back(encode(vision::preprocess_frames(frames[i], frames[i + 1], common, video_)));
    pairs.back().size = {frames[i].height, frames[i].width};
    pairs.back().seconds = std::chrono::duration<double>(Clock::now() - start).count();
  }
  return pairs;
}

}  // namespace duan::cli
