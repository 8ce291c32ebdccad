// The folder that a conversion writes: weights, config.json, companion files and a report.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/json.h"
#include "models/model.h"
#include "quant/quantized_checkpoint.h"

namespace duan::quant {

inline constexpr const char* kConversionReport = "conversion_report.json";

struct ConvertOptions {
  uint64_t max_shard_bytes = 5'000'000'000;
  bool overwrite = false;  // replace a folder that an earlier conversion made
};

// `progress` sees the bytes written.
using ConversionProgress = std::function<void(uint64_t done, uint64_t total)>;

struct Conversion {
  std::function<std::vector<OutputTensor>()> tensors;
  std::function<std::string()> config;                             // the text of config.json
  std::function<void(const std::filesystem::path& folder)> check;  // looks at the folder before it gets its name
};

// Writes `output`, which appears complete or not at all, and copies the model's companion files. Adds bytes and files
// to `report`, which is written, too, and returned. Throws Error: the folder cannot be written, or what `work` throws.
Json write_conversion(const models::Model& model, const std::filesystem::path& output, const ConvertOptions& options,
                      const Conversion& work, Json report, const ConversionProgress& progress);

// Whether the model's graphs read a tensor of this name.
bool is_read(const models::Model& model, const std::string& tensor);

// Says and tells whether `tensor` is a head that the model, whose head is its embedding, does not read.
bool is_stray_head(const models::Model& model, const std::string& tensor);

}  // namespace duan::quant
