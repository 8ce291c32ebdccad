#include "cli/calibration_pictures.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "cli/content.h"
#include "vision/pixel_hash.h"

namespace duan::cli {
namespace fs = std::filesystem;

// Remembers the digest of the last picture; without `tower` it only says how many tokens a picture has.
class CalibrationPictures::Tower final : public engine::ImageEncoder {
 public:
  explicit Tower(std::unique_ptr<engine::ImageEncoder> tower) : tower_(std::move(tower)) {}

  engine::ImageFeatures encode(const engine::ImagePatches& patches) override {
    const auto* bytes = reinterpret_cast<const uint8_t*>(patches.pixels.data());
    digest_ = vision::siphash13(static_cast<uint64_t>(patches.rows), static_cast<uint64_t>(patches.columns),
                                {bytes, patches.pixels.size_bytes()});
    if (tower_ != nullptr) return tower_->encode(patches);
    engine::ImageFeatures features;
    features.rows = patches.rows;
    features.columns = patches.columns;
    return features;
  }
  void set_probe(engine::Probe probe) override {
    if (tower_ != nullptr) tower_->set_probe(std::move(probe));
  }
  uint64_t digest() const { return digest_; }

 private:
  std::unique_ptr<engine::ImageEncoder> tower_;
  uint64_t digest_ = 0;
};

std::vector<fs::path> CalibrationPictures::files_of(const Json& messages, const fs::path& folder,
                                                    const std::string& where) const {
  for (const Json& message : messages) {
    // What is neither a text nor a list, the chat template judges.
    if (const auto content = message.find("content"); content != message.end() && content->is_array()) {
      check_content(*content, where);
    }
  }
  std::vector<fs::path> files;
  for (const Picture& picture : pictures_in(messages)) {
    if (picture.is_video) {
      throw Error("has a video; a model is calibrated on texts and pictures", where, "name its frames as images");
    }
    if (picture.files.at(0).empty()) throw Error("names a picture \"\"", where);
    files.push_back(folder / picture.files.at(0));
  }
  if (!files.empty() && !model_.vision) {
    throw Error(fmt::format("has a picture; a model of type {} sees none", model_.config.model_type), where,
                "choose a Qwen3-VL model, or texts only");
  }
  return files;
}

std::vector<quant::PictureReader::Placed> CalibrationPictures::place(std::vector<int64_t>& ids,
                                                                     const std::vector<fs::path>& files) {
  if (!measuring_) {
    auto tower = std::make_unique<Tower>(nullptr);
    measured_ = tower.get();
    measuring_.emplace(model_.folder, model_.config, std::move(tower), options_);
  }
  const checkpoint::ImageTokens& tokens = *model_.config.image_tokens;
  const auto places = static_cast<size_t>(
      std::count_if(ids.begin(), ids.end(), [&](int64_t id) { return id == tokens.image || id == tokens.video; }));
  if (places != files.size()) {
    throw Error(
        fmt::format("the chat template has places for {} pictures where the messages have {}", places, files.size()),
        "", "a text must not hold the tokens that stand for pictures, and the template must know images");
  }
  std::vector<int64_t> longer;
  std::vector<Placed> placed;
  for (const int64_t id : ids) {
    if (id != tokens.image && id != tokens.video) {
      longer.push_back(id);
      continue;
    }
    const fs::path& file = files[placed.size()];
    const ReadImage read = measuring_->read(file);
    const auto [digest, is_new] = digests_.try_emplace(read.hash, measured_->digest());
    placed.push_back(
        {file, static_cast<int64_t>(longer.size()), read.features->rows, read.features->columns, digest->second});
    longer.insert(longer.end(), static_cast<size_t>(read.features->tokens()), tokens.image);
  }
  ids = std::move(longer);
  return placed;
}

engine::ImageFeatures CalibrationPictures::encode(const quant::CalibrationPicture& picture) {
  engine::Options options;
  options.threads = threads_;
  options.compute = engine::Compute::fp32;
  auto tower = std::make_unique<Tower>(engine::make_native_encoder(*model_.vision, model_.checkpoint, options));
  const Tower& used = *tower;
  // A reader keeps the rows of all it has read: this one reads a single picture.
  ImageReader reader(model_.folder, model_.config, std::move(tower), options_);
  engine::ImageFeatures features = *reader.read(picture.file).features;
  if (used.digest() != picture.digest) {
    throw Error("has changed since the samples were chosen", picture.file.string(), "run the command again");
  }
  return features;
}

}  // namespace duan::cli
