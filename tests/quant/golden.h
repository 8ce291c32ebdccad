// Runs of llm-compressor in DUAN_REFERENCE_DIR, as tests compare with them.
#pragma once

#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/writer.h"
#include "engine/engine.h"
#include "models/model.h"
#include "quant/calibration.h"
#include "support/paths.h"

namespace duan::test {

inline std::vector<int64_t> integers(const checkpoint::SafetensorsFile& file, const std::string& name) {
  const auto tensor = *file.find(name);
  std::vector<int64_t> values(tensor.bytes / sizeof(int64_t));
  std::memcpy(values.data(), tensor.data, tensor.bytes);
  return values;
}

inline std::vector<float> floats(const checkpoint::SafetensorsFile& file, const std::string& name) {
  const auto tensor = *file.find(name);
  std::vector<float> values(static_cast<size_t>(*element_count(tensor.shape)));
  to_float(tensor.dtype, tensor.data, static_cast<int64_t>(values.size()), values.data());
  return values;
}

// Tensors of floats or doubles; our reader has no use for the latter.
inline std::map<std::string, std::vector<double>> read_doubles(const std::filesystem::path& file) {
  const std::string bytes = read_file(file);
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  std::map<std::string, std::vector<double>> out;
  const Json entries = parse_json(bytes.substr(8, header), file.string());
  for (const auto& [name, tensor] : entries.items()) {
    if (!tensor.contains("dtype")) continue;
    const size_t size = tensor["dtype"] == "F64" ? 8 : 4;
    const auto begin = tensor["data_offsets"][0].get<size_t>(), end = tensor["data_offsets"][1].get<size_t>();
    for (size_t at = 8 + header + begin; at < 8 + header + end; at += size) {
      double wide = 0;
      float narrow = 0;
      std::memcpy(size == 8 ? static_cast<void*>(&wide) : &narrow, bytes.data() + at, size);
      out[name].push_back(size == 8 ? wide : narrow);
    }
  }
  return out;
}

// calib.safetensors: input_ids [samples, tokens].
inline quant::CalibrationSet golden_samples(const std::filesystem::path& file) {
  const checkpoint::SafetensorsFile calibration(file);
  const std::vector<int64_t> ids = integers(calibration, "input_ids");
  const int64_t tokens = calibration.find("input_ids")->shape[1];
  quant::CalibrationSet set;
  for (auto at = ids.begin(); at != ids.end(); at += tokens) set.samples.emplace_back(at, at + tokens);
  return set;
}

// Copies a model with every tensor as f32: llm-compressor's runs in fp32 started so.
inline void widen(const std::filesystem::path& from, const std::filesystem::path& to) {
  const checkpoint::SafetensorsFile source(from / "model.safetensors");
  std::vector<checkpoint::TensorSpec> specs;
  for (const auto& entry : source.entries()) specs.push_back({entry.name, DType::f32, entry.shape});
  std::filesystem::create_directory(to);
  std::filesystem::copy_file(from / "config.json", to / "config.json");
  checkpoint::write_safetensors(to / "model.safetensors", specs, [&](size_t i, const checkpoint::ByteSink& sink) {
    const std::vector<float> values = floats(source, source.entries()[i].name);
    sink(std::as_bytes(std::span(values)));
  });
}

// |logits - golden| / |golden|, as golden/awq/summary.json has it. With images, what the golden's tower made of them
// stands in for ours.
inline double error_against(const std::filesystem::path& golden, const models::Model& model, bool images = false) {
  const checkpoint::SafetensorsFile file(golden);
  const std::string prefix = images ? "image_" : "";
  const std::vector<int64_t> ids = integers(file, prefix + "input_ids");
  const std::vector<float> expected = floats(file, prefix + "logits");
  const int64_t batch = file.find(prefix + "input_ids")->shape[0], tokens = file.find(prefix + "input_ids")->shape[1];
  engine::Options options;
  options.context = tokens;
  options.compute = engine::Compute::fp32;
  const auto engine = engine::make_native(model.graph, model.checkpoint, options);
  if (images) {
    const std::vector<int64_t> grid = integers(file, "image_grid_thw");  // of patches, four to a token
    auto features = std::make_shared<engine::ImageFeatures>();
    *features = {grid[1] / 2, grid[2] / 2, model.config.hidden_size, floats(file, "vision_pooler_output"), {}};
    for (int level = 0; file.find("deepstack." + std::to_string(level)); ++level) {
      features->deepstack.push_back(floats(file, "deepstack." + std::to_string(level)));
    }
    const engine::SequenceImages::Kind kinds[] = {{model.config.image_tokens->image, {features}}};
    engine->set_images(std::make_shared<engine::SequenceImages>(engine::SequenceImages::place(ids, kinds)));
  }
  double error = 0, whole = 0;
  for (int64_t b = 0; b < batch; ++b) {
    engine->truncate(0);
    engine->forward_all(std::span(ids).subspan(static_cast<size_t>(b * tokens), static_cast<size_t>(tokens)),
                        [&](int64_t t, std::span<const float> row) {
                          const float* logits = expected.data() + static_cast<size_t>(b * tokens + t) * row.size();
                          for (size_t i = 0; i < row.size(); ++i) {
                            error += std::pow(row[i] - logits[i], 2);
                            whole += std::pow(logits[i], 2);
                          }
                        });
  }
  return std::sqrt(error / whole);
}

}  // namespace duan::test
