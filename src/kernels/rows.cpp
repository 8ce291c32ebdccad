#include "kernels/rows.h"

#include <array>

#include "kernels/rows_list.h"

namespace duan::kernels {
namespace {

const auto& kernels() {
  static const std::array list = {
#if defined(__x86_64__)
    avx512::rows_kernel(),
    avx2::rows_kernel(),
#endif
    plain::rows_kernel(),
    ref::rows_kernel()
  };
  return list;
}

std::vector<Candidate> candidates() {
  std::vector<Candidate> list;
  for (const RowsKernel& kernel : kernels()) list.push_back({kernel.name, kernel.needs, true});
  return list;
}

}  // namespace

std::span<const RowsKernel> rows_kernels() { return kernels(); }

const RowsKernel& select_rows() { return kernels()[choose("rows", candidates(), "rows of activations")]; }

std::vector<Rejection> explain_rows() { return explain("rows", candidates(), "rows of activations"); }

}  // namespace duan::kernels
