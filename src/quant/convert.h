// Quantized checkpoints of other tools as compressed-tensors "pack-quantized", code for code.
#pragma once

#include <filesystem>

#include "quant/conversion_folder.h"

namespace duan::quant {

// Writes `output`, which appears complete or not at all. Codes, zero points and scales keep their values, all other
// tensors and files their bytes; config.json has another quantization_config. One tensor is in memory at a time.
// Returns what the report says: source, format, bits, group_size, symmetric, how
// many modules are quantized and plain, bytes, files. Throws Error: the model is not quantized, is packed already, or
// holds what the format has no place for (rounded inputs, columns out of order); the folder cannot be written.
Json convert(const models::Model& model, const std::filesystem::path& output, const ConvertOptions& options,
             const ConversionProgress& progress);

}  // namespace duan::quant
