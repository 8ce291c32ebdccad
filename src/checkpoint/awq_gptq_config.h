// The "quantization_config" that AutoAWQ and GPTQ tools write, and the files older versions of them put it in.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/json.h"
#include "checkpoint/quantization_config.h"

namespace duan::checkpoint {

// {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": true, "version": "gemm",
//  "modules_to_not_convert": null}, or with the older names "w_bit" and "q_group_size". `where` names the file.
// Throws Error naming the key that is missing, malformed or asks for something that is not supported.
QuantizationConfig parse_awq_config(const Json& json, const std::string& where);

// {"quant_method": "gptq", "bits": 4 | 8, "group_size": 128, "sym": true, "desc_act": false,
//  "checkpoint_format": "gptq" | "gptq_v2"}. As above.
QuantizationConfig parse_gptq_config(const Json& json, const std::string& where);

// Of a folder whose config.json says nothing about quantization: quant_config.json (AutoAWQ) or quantize_config.json
// (AutoGPTQ); nothing if neither is there.
std::optional<QuantizationConfig> read_older_quantization_config(const std::filesystem::path& folder);

}  // namespace duan::checkpoint
