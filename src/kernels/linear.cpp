#include "kernels/linear.h"

#include "base/error.h"
#include "kernels/linear_list.h"

namespace duan::kernels {
namespace {

bool any_float(DType weight, DType x) { return is_float(weight) && (x == DType::f32 || x == DType::bf16); }

#if defined(__x86_64__)
bool bf16_only(DType weight, DType x) { return weight == DType::bf16 && x == DType::bf16; }
#endif

constexpr LinearKernel kKernels[] = {
#if defined(__x86_64__)
    {"avx512_bf16", Isa::avx512_bf16, bf16_only, avx512_bf16::linear, nullptr},
    {"avx512", Isa::avx512, any_float, avx512::linear, nullptr},
    {"avx2", Isa::avx2, any_float, avx2::linear, avx2::linear_row},
#endif
    {"plain", Isa::plain, any_float, plain::linear, plain::linear_row},
    {"ref", Isa::plain, any_float, linear_ref, nullptr},
};

std::vector<Candidate> candidates(DType weight, DType x) {
  std::vector<Candidate> list;
  for (const LinearKernel& kernel : kKernels) list.push_back({kernel.name, kernel.needs, kernel.fits(weight, x)});
  return list;
}

std::string task(DType weight, DType x) {
  return fmt::format("{} weights with {} activations", dtype_name(weight), dtype_name(x));
}

}  // namespace

std::span<const LinearKernel> linear_kernels() { return kKernels; }

const LinearKernel& select_linear(DType weight, DType x) {
  return kKernels[choose("linear", candidates(weight, x), task(weight, x))];
}

std::vector<Rejection> explain_linear(DType weight, DType x) {
  return explain("linear", candidates(weight, x), task(weight, x));
}

}  // namespace duan::kernels
