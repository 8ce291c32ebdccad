// The tensors of the output, from the finished blocks and from the source.
#pragma once

#include <vector>

#include "quant/modules.h"
#include "quant/quantized_checkpoint.h"
#include "quant/work_folder.h"

namespace duan::quant {

// In the order of the source's files. Quantized modules come from their blocks, with what smoothing made of norms and
// biases; kept ones and everything else from the source. The model, `modules`, and `work` must outlive the result.
// A head that a tied model does not read is left out (warned).
std::vector<OutputTensor> output_tensors(const models::Model& model, const std::vector<Module>& modules,
                                         const Recipe& recipe, const WorkFolder& work);

// Keeps the modules with the largest "output_error" of `records` (by module) as long as the bytes of all tensors stay
// within recipe.budget percent of the source's. Throws Error if nothing fits even with every module quantized.
void keep_within_budget(std::vector<Module>& modules, const Json& records, const models::Model& model,
                        const Recipe& recipe);

}  // namespace duan::quant
