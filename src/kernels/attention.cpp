#include "kernels/attention.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/attention_list.h"
#include "kernels/attention_tiles.h"
#include "kernels/load.h"

namespace duan::kernels {
namespace {

bool float_cache(DType kv, int64_t head_dim, bool /*causal*/) {
  return (kv == DType::f32 || kv == DType::bf16) && head_dim > 0;
}

// A block of the cache is laid out anew for a group of queries. Single ones, as in decoding, would not pay for it, and
// causal results must be the same for both.
bool bf16_cache_for_all(DType kv, int64_t head_dim, bool causal) {
  return kv == DType::bf16 && head_dim > 0 && head_dim % 2 == 0 && !causal;
}

constexpr AttentionKernel kKernels[] = {
#if defined(__x86_64__)
    {"avx512_bf16", Isa::avx512_bf16, bf16_cache_for_all, avx512_bf16::attention},
    {"avx512", Isa::avx512, float_cache, avx512::attention},
    {"avx2", Isa::avx2, float_cache, avx2::attention},
#endif
    {"plain", Isa::plain, float_cache, plain::attention},
    {"ref", Isa::plain, float_cache, attention_ref},
};

std::vector<Candidate> candidates(DType kv, int64_t head_dim, bool causal) {
  std::vector<Candidate> list;
  for (const AttentionKernel& kernel : kKernels) {
    list.push_back({kernel.name, kernel.needs, kernel.fits(kv, head_dim, causal)});
  }
  return list;
}

std::string task(DType kv, int64_t head_dim, bool causal) {
  return fmt::format("a {} cache with head_dim {}{}", dtype_name(kv), head_dim, causal ? "" : ", all rows to all");
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
  const int64_t whole = kQueryGroup * (2 * padded + kPositionBlock + kTotals);
  // The same with bfloat16 queries, weights for at most 6 of them twice, and a block's keys and values.
  const int64_t pairs = kPairGroup * (padded + padded / 2 + kTotals) + 9 * kPositionBlock + kPositionBlock * padded;
  return std::max(whole, pairs);
}

std::span<const AttentionKernel> attention_kernels() { return kKernels; }

const AttentionKernel& select_attention(DType kv, int64_t head_dim, bool causal) {
  return kKernels[choose("attention", candidates(kv, head_dim, causal), task(kv, head_dim, causal))];
}

std::vector<Rejection> explain_attention(DType kv, int64_t head_dim, bool causal) {
  return explain("attention", candidates(kv, head_dim, causal), task(kv, head_dim, causal));
}

}  // namespace duan::kernels
