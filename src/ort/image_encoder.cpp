// vision_encoder.onnx as an encoder of images. It finds out by itself where each patch stands.
#include "engine/image_encoder.h"

#include <onnxruntime_run_options_config_keys.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "ir/graph.h"
#include "onnx/names.h"
#include "ort/library.h"
#include "ort/runtime.h"

namespace duan::ort {
namespace {

class Encoder final : public engine::ImageEncoder {
 public:
  Encoder(const ModelFolder& folder, const onnx::VerifiedModel& model, const Options& options)
      : file_(model.file), config_(folder.images->config), session_(open_session(model, options)) {
    output_names_.emplace_back(onnx::kImageFeatures);
    for (size_t i = 0; i < config_.deepstack_visual_indexes.size(); ++i) {
      output_names_.push_back(fmt::format("{}{}", onnx::kDeepstackFeatures, i));
    }
    // An image's buffers are large, and the next one's have other sizes.
    run_options_.AddConfigEntry(kOrtRunOptionsConfigEnableMemoryArenaShrinkage, "cpu:0");
  }

  engine::ImageFeatures encode(const engine::ImagePatches& image) override {
    engine::ImageFeatures features{image.rows, image.columns, config_.out_hidden_size, {}, {}};
    const int64_t merge = config_.spatial_merge_size, values = config_.patch_values();
    const std::vector<int64_t> grid{1, image.rows * merge, image.columns * merge}, of_grid{1, 3};
    const std::vector<int64_t> of_pixels{grid[1] * grid[2], values}, of_rows{features.tokens(), features.width};
    DUAN_CHECK(static_cast<int64_t>(image.pixels.size()) == of_pixels[0] * values, "{} values of {} patches of {}",
               image.pixels.size(), of_pixels[0], values);
    asked(file_, [&] {
      const char* const inputs[] = {ir::kPixelValues.data(), onnx::kImageGrid};
      std::vector<Ort::Value> fed;
      fed.push_back(input_tensor(memory_, image.pixels, of_pixels));
      fed.push_back(input_tensor<int64_t>(memory_, grid, of_grid));
      std::vector<const char*> outputs;
      for (const std::string& name : output_names_) outputs.push_back(name.c_str());
      std::vector<Ort::Value> made =
          session_.Run(run_options_, inputs, fed.data(), fed.size(), outputs.data(), outputs.size());
      for (size_t i = 0; i < made.size(); ++i) {
        const std::span<const float> rows = floats_of(made[i], outputs[i], of_rows);
        check_finite(rows);
        std::vector<float>& kept = i == 0 ? features.embeds : features.deepstack.emplace_back();
        kept.assign(rows.begin(), rows.end());
      }
    });
    return features;
  }

  void set_probe(engine::Probe) override {}

 private:
  static void check_finite(std::span<const float> values) {
    if (std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); })) return;
    throw Error("what the vision tower makes of an image is not finite", "",
                "a weight is not, or float16 overflows: export again from a sound checkpoint, with --precision fp32");
  }

  std::filesystem::path file_;
  checkpoint::VisionConfig config_;
  Ort::MemoryInfo memory_ = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  Ort::Session session_;
  Ort::RunOptions run_options_;
  std::vector<std::string> output_names_;
};

}  // namespace

std::unique_ptr<engine::ImageEncoder> make_encoder(const ModelFolder& folder, const Options& options) {
  if (!folder.images) throw Error("this ONNX model sees no images", folder.file.string());
  load_library();
  const onnx::VerifiedModel model = onnx::verify_file(folder.images->tower);
  return asked(model.file, [&] { return std::make_unique<Encoder>(folder, model, options); });
}

}  // namespace duan::ort
