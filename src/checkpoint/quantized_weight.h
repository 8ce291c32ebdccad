// A weight stored in few bits: the tensors that hold it, checked against each other.
#pragma once

#include <string>

#include "checkpoint/checkpoint.h"
#include "checkpoint/quantization_config.h"

namespace duan::checkpoint {

// The class a module has in transformers, for targets such as "Linear".
std::string module_class(const std::string& module);

// True if `module` (a weight's name without ".weight") has integer codes in the checkpoint.
bool is_quantized(const Checkpoint& checkpoint, const std::string& module);

// The weight of a quantized module, of `expected` shape [out, in]. The input of a tied head is described by the tensors
// of "lm_head" beside the embedding's. Throws Error naming the tensor that is missing, or has another dtype or shape
// than `scheme` demands, or a scale that is not positive and finite.
Weight quantized_weight(const Checkpoint& checkpoint, const std::string& module, const Shape& expected,
                        const QuantizationScheme& scheme, const QuantizationScheme* head_scheme);

}  // namespace duan::checkpoint
