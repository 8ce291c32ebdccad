#include "kernels/attention.h"

#include "base/error.h"
#include "kernels/attention_list.h"
#include "kernels/attention_tiles.h"
#include "kernels/load.h"

namespace duan::kernels {
namespace {

bool float_cache(DType kv, int64_t head_dim) { return (kv == DType::f32 || kv == DType::bf16) && head_dim > 0; }

constexpr AttentionKernel kKernels[] = {
#if defined(__x86_64__)
    {"avx512", Isa::avx512, float_cache, avx512::attention},
    {"avx2", Isa::avx2, float_cache, avx2::attention},
#endif
    {"plain", Isa::plain, float_cache, plain::attention},
    {"ref", Isa::plain, float_cache, attention_ref},
};

std::vector<Candidate> candidates(DType kv, int64_t head_dim) {
  std::vector<Candidate> list;
  for (const AttentionKernel& kernel : kKernels) list.push_back({kernel.name, kernel.needs, kernel.fits(kv, head_dim)});
  return list;
}

std::string task(DType kv, int64_t head_dim) {
  return fmt::format("a {} cache with head_dim {}", dtype_name(kv), head_dim);
}

}  // namespace

int64_t kv_bytes(DType dtype, int64_t capacity, int64_t head_dim) {
  return capacity * head_dim * static_cast<int64_t>(dtype_size(dtype));
}

void store_kv(const KvView& kv, int64_t position, const float* key, const float* value) noexcept {
  const int64_t tile = position / kKeyTile, lane = position % kKeyTile;
  for (int64_t d = 0; d < kv.head_dim; ++d) {
    store_float(kv.keys, kv.dtype, (tile * kv.head_dim + d) * kKeyTile + lane, key[d]);
    store_float(kv.values, kv.dtype, position * kv.head_dim + d, value[d]);
  }
}

int64_t attention_scratch_floats(int64_t head_dim) {
  const int64_t padded = (head_dim + 15) / 16 * 16;
  // Per query of a group: output, scaled query, the weights of one block and their sums.
  return kQueryGroup * (2 * padded + kPositionBlock + kTotals);
}

std::span<const AttentionKernel> attention_kernels() { return kKernels; }

const AttentionKernel& select_attention(DType kv, int64_t head_dim) {
  return kKernels[choose("attention", candidates(kv, head_dim), task(kv, head_dim))];
}

std::vector<Rejection> explain_attention(DType kv, int64_t head_dim) {
  return explain("attention", candidates(kv, head_dim), task(kv, head_dim));
}

}  // namespace duan::kernels
