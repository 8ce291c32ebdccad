// Which kernels would run a model on this machine, and why not the others.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "kernels/select.h"
#include "models/model.h"

namespace duan::inspect {

struct KernelChoice {
  std::string operation;  // "linear", "attention" or "rows"
  std::string operands;   // "BF16 weights, F32 activations"
  std::string chosen;
  std::vector<kernels::Rejection> rejected;  // in the order of preference
};

// One entry for every combination of types the model's nodes can meet: each weight dtype with fp32 and bf16
// activations, each head_dim with an f32 and a bf16 KV cache. Obeys DUAN_ISA and DUAN_KERNEL; throws Error if they
// cannot be obeyed.
std::vector<KernelChoice> kernel_choices(const models::Model& model);

Json to_json(const std::vector<KernelChoice>& choices);

}  // namespace duan::inspect
