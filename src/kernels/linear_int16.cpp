#include "kernels/linear_int16.h"

#include "kernels/linear_int16_list.h"

namespace duan::kernels {
namespace {

constexpr LinearInt16Kernel kKernels[] = {
#if defined(__x86_64__)
    {"avx_vnni", Isa::avx_vnni, avx_vnni::linear_int16},
    {"avx2", Isa::avx2, avx2::linear_int16},
#endif
    {"ref", Isa::plain, linear_int16_ref},
};

std::vector<Candidate> candidates() {
  std::vector<Candidate> list;
  for (const LinearInt16Kernel& kernel : kKernels) list.push_back({kernel.name, kernel.needs, true});
  return list;
}

constexpr const char* kTask = "many rows rounded to int16";

}  // namespace

std::span<const LinearInt16Kernel> linear_int16_kernels() { return kKernels; }

bool int16_is_faster() { return isa_allowed(Isa::avx2) && !isa_allowed(Isa::avx512); }

const LinearInt16Kernel& select_linear_int16() { return kKernels[choose("linear_int16", candidates(), kTask)]; }

std::vector<Rejection> explain_linear_int16() { return explain("linear_int16", candidates(), kTask); }

}  // namespace duan::kernels
