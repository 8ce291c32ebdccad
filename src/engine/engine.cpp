#include "engine/engine.h"

namespace duan::engine {

const char* compute_name(Compute compute) {
  switch (compute) {
    case Compute::automatic:
      return "auto";
    case Compute::int16:
      return "int16";
    case Compute::bf16:
      return "bf16";
    case Compute::fp16:
      return "fp16";
    case Compute::fp32:
      break;
  }
  return "fp32";
}

}  // namespace duan::engine
