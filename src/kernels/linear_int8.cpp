#include "kernels/linear_int8.h"

#include "kernels/linear_int8_list.h"

namespace duan::kernels {
namespace {

constexpr LinearInt8Kernel kKernels[] = {
#if defined(__x86_64__)
    {"avx512_vnni", Isa::avx512_vnni, avx2::round_input, avx512_vnni::linear_int8},
    {"avx_vnni", Isa::avx_vnni, avx2::round_input, avx_vnni::linear_int8},
    {"avx2", Isa::avx2, avx2::round_input, avx2::linear_int8},
#endif
    {"plain", Isa::plain, plain::round_input, plain::linear_int8},
    {"ref", Isa::plain, ref::round_input, ref::linear_int8},
};

std::vector<Candidate> candidates() {
  std::vector<Candidate> list;
  for (const LinearInt8Kernel& kernel : kKernels) list.push_back({kernel.name, kernel.needs, true});
  return list;
}

constexpr const char* kTask = "int8 weights with int8 activations";

}  // namespace

std::span<const LinearInt8Kernel> linear_int8_kernels() { return kKernels; }

const LinearInt8Kernel& select_linear_int8() { return kKernels[choose("linear_int8", candidates(), kTask)]; }

std::vector<Rejection> explain_linear_int8() { return explain("linear_int8", candidates(), kTask); }

}  // namespace duan::kernels
