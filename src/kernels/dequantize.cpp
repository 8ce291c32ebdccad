#include "kernels/dequantize.h"

#include "kernels/dequantize_list.h"

namespace duan::kernels {
namespace {

constexpr DequantizeKernel kKernels[] = {
#if defined(__x86_64__)
    {"avx2", Isa::avx2, avx2::dequantize},
#endif
    {"plain", Isa::plain, plain::dequantize},
    {"ref", Isa::plain, ref::dequantize},
};

std::vector<Candidate> candidates() {
  std::vector<Candidate> list;
  for (const DequantizeKernel& kernel : kKernels) list.push_back({kernel.name, kernel.needs, true});
  return list;
}

constexpr const char* kTask = "quantized weights";

}  // namespace

std::span<const DequantizeKernel> dequantize_kernels() { return kKernels; }

const DequantizeKernel& select_dequantize() { return kKernels[choose("dequantize", candidates(), kTask)]; }

std::vector<Rejection> explain_dequantize() { return explain("dequantize", candidates(), kTask); }

}  // namespace duan::kernels
