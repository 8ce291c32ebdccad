// Pictures for duan quantize: measured when samples are chosen, put through the vision tower when they are needed.
#pragma once

#include <map>
#include <memory>
#include <optional>

#include "cli/image_reader.h"
#include "models/model.h"
#include "quant/calibration.h"

namespace duan::cli {

class CalibrationPictures final : public quant::PictureReader {
 public:
  // The model must outlive it. `threads` is the tower's, which runs in fp32; 0: one per processor.
  CalibrationPictures(const models::Model& model, const ImageOptions& options, int threads)
      : model_(model), options_(options), threads_(threads) {}

  // Videos are refused, too.
  std::vector<std::filesystem::path> files_of(const Json& messages, const std::filesystem::path& folder,
                                              const std::string& where) const override;
  std::vector<Placed> place(std::vector<int64_t>& ids, const std::vector<std::filesystem::path>& files) override;
  engine::ImageFeatures encode(const quant::CalibrationPicture& picture) override;

 private:
  class Tower;

  const models::Model& model_;
  ImageOptions options_;
  int threads_;
  std::optional<ImageReader> measuring_;  // its tower makes no rows
  const Tower* measured_ = nullptr;       // that tower
  std::map<uint64_t, uint64_t> digests_;  // by the hash of pixels, which is this run's own
};

}  // namespace duan::cli
