// Quantized checkpoints as plain ones, for programs that read no other.
#pragma once

#include <filesystem>
#include <optional>

#include "quant/conversion_folder.h"

namespace duan::quant {

// Writes `output`, which appears complete or not at all, from any quantized model that duan reads. Each weight becomes
// (code - zero point) * scale, computed in f32 and rounded once to `dtype` (f32, f16 or bf16; unset: the dtype that
// config.json states, bf16 if none; with columns in no order of groups, rounded to the dtype of the scales before
// that); all other tensors and files keep their bytes. config.json loses
// "quantization_config", and states `dtype` where it stated another one. A few megabytes are in memory at a time; of
// AutoAWQ and GPTQ, one weight. Returns what the report says: source, format, how many modules were quantized, dtype,
// whether inputs were rounded (they are no more), bytes, files. Throws Error: the model is not quantized, a number does
// not fit `dtype`, codes belong to no layer, or the folder cannot be written.
Json dequantize(const models::Model& model, const std::filesystem::path& output, std::optional<DType> dtype,
                const ConvertOptions& options, const ConversionProgress& progress);

}  // namespace duan::quant
