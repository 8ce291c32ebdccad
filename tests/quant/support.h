// Calibration samples, copies of models that tests change, and what comes out of a run.
#pragma once

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/writer.h"
#include "models/model.h"
#include "quant/quantize.h"
#include "support/paths.h"
#include "support/quantized_folder.h"

namespace duan::test {

inline quant::CalibrationSet some_samples(int64_t vocab, size_t count = 4, size_t tokens = 24) {
  quant::CalibrationSet set;
  uint64_t state = 1;
  for (size_t s = 0; s < count; ++s) {
    std::vector<int64_t> ids;
    for (size_t i = 0; i < tokens + s; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      ids.push_back(static_cast<int64_t>((state >> 33) % static_cast<uint64_t>(vocab)));
    }
    set.samples.push_back(std::move(ids));
  }
  return set;
}

// Copies a model folder and gives `change` the floats of one tensor, which is then stored as f32.
template <typename Change>
void copy_model_with(const std::filesystem::path& from, const std::filesystem::path& to, const std::string& tensor,
                     const Change& change) {
  std::filesystem::create_directories(to);
  for (const auto& entry : std::filesystem::directory_iterator(from)) {
    if (entry.is_regular_file()) std::filesystem::copy_file(entry.path(), to / entry.path().filename());
  }
  std::filesystem::remove(to / "model.safetensors");
  const checkpoint::SafetensorsFile source(from / "model.safetensors");
  std::vector<checkpoint::TensorSpec> specs;
  for (const auto& entry : source.entries()) {
    specs.push_back({entry.name, entry.name == tensor ? DType::f32 : entry.dtype, entry.shape});
  }
  checkpoint::write_safetensors(to / "model.safetensors", specs, [&](size_t i, const checkpoint::ByteSink& sink) {
    const checkpoint::TensorView view = source.view(source.entries()[i]);
    if (specs[i].name != tensor) return sink({view.data, view.bytes});
    std::vector<float> values(static_cast<size_t>(*element_count(view.shape)));
    to_float(view.dtype, view.data, static_cast<int64_t>(values.size()), values.data());
    change(values);
    sink(std::as_bytes(std::span(values)));
  });
}

// Norms with a few large channels make inputs that plain rounding ignores.
inline std::filesystem::path model_with_outliers(const std::filesystem::path& work) {
  std::filesystem::path folder = data_dir() / "models/qwen3-untied";
  for (const char* norm : {"model.layers.0.input_layernorm.weight", "model.layers.1.post_attention_layernorm.weight"}) {
    copy_model_with(folder, work / norm, norm, [](std::vector<float>& values) {
      for (size_t c = 3; c < values.size(); c += 17) values[c] *= 20;
    });
    folder = work / norm;
  }
  return folder;
}

inline quant::QuantizeOptions options_for(quant::Method method) {
  quant::QuantizeOptions options;
  options.recipe.method = method;
  options.threads = 1;
  if (options.recipe.packed()) {
    options.recipe.weights.bits = 4;
    options.recipe.weights.group_size = 32;
    options.recipe.weights.observer = quant::WeightObserver::mse;
  }
  return options;
}

}  // namespace duan::test
