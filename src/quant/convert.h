// Quantized checkpoints of other tools as compressed-tensors "pack-quantized", code for code.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "base/json.h"
#include "models/model.h"

namespace duan::quant {

inline constexpr const char* kConversionReport = "conversion_report.json";

struct ConvertOptions {
  uint64_t max_shard_bytes = 5'000'000'000;
  bool overwrite = false;  // replace a folder that an earlier conversion made
};

// Writes `output`, which appears complete or not at all. Codes, zero points and scales keep their values, all other
// tensors and files their bytes; config.json has another quantization_config. One tensor is in memory at a time.
// `progress` sees the bytes written. Returns what the report says: source, format, bits, group_size, symmetric, how
// many modules are quantized and plain, bytes, files. Throws Error: the model is not quantized, is packed already, or
// holds what the format has no place for (rounded inputs, columns out of order); the folder cannot be written.
Json convert(const models::Model& model, const std::filesystem::path& output, const ConvertOptions& options,
             const std::function<void(uint64_t done, uint64_t total)>& progress);

}  // namespace duan::quant
