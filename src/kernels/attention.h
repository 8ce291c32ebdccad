// Grouped-query attention over a cache of keys and values: causal, or of all rows to all positions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/cpu.h"
#include "kernels/select.h"
#include "tensor/dtype.h"

namespace duan::kernels {

// Positions per key tile: capacity is a multiple of it.
constexpr int64_t kKeyTile = 16;

// The cache of one layer and one kv head. Keys lie in tiles of 16 positions, each [head_dim][16] (position innermost),
// so that a vector holds one component of 16 keys and scores need no horizontal sums. Values are [capacity][head_dim].
// Each of the two arrays takes kv_bytes() and is aligned to 64 bytes; it need not be initialised.
struct KvView {
  DType dtype;  // f32 | bf16
  std::byte* keys;
  std::byte* values;
  int64_t capacity;  // positions, a multiple of kKeyTile
  int64_t head_dim;
};

// Bytes of keys (and again of values) of one kv head.
int64_t kv_bytes(DType dtype, int64_t capacity, int64_t head_dim);

// Writes key[head_dim] and value[head_dim] of one position, rounded to the cache's type. 0 <= position < capacity.
void store_kv(const KvView& kv, int64_t position, const float* key, const float* value) noexcept;

// One kv head with the query heads that share it. Row r stands at position first_position + r and attends to positions
// 0 .. first_position + r, or to 0 .. positions - 1, all stored before. Query (r, h) is at q[r * q_stride_row + h *
// q_stride_head], its head_dim components contiguous; its result is at the same place of out by the out strides.
// Results are bit-identical however rows and heads are divided over calls, and never depend on later positions.
struct AttentionArgs {
  const float* q;
  int64_t q_stride_row, q_stride_head;  // elements
  int64_t rows;
  int64_t heads_per_kv;
  int64_t first_position;
  float scale;  // of the scores, 1 / sqrt(head_dim) as a rule
  KvView kv;
  void* out;
  DType out_dtype;                          // f32 | bf16
  int64_t out_stride_row, out_stride_head;  // elements
  float* scratch;                           // attention_scratch_floats(head_dim), own per thread, aligned to 64 bytes
  int64_t positions = 0;                    // what every row attends to; 0: causal
};

int64_t attention_scratch_floats(int64_t head_dim);

struct AttentionKernel {
  const char* name;
  Isa needs;
  bool (*fits)(DType kv, int64_t head_dim, bool causal);
  void (*run)(const AttentionArgs& args) noexcept;
};

std::span<const AttentionKernel> attention_kernels();  // best first, the reference last

// Both throw Error if DUAN_KERNEL or DUAN_ISA cannot be obeyed, or if no kernel takes this cache.
const AttentionKernel& select_attention(DType kv, int64_t head_dim, bool causal);
std::vector<Rejection> explain_attention(DType kv, int64_t head_dim, bool causal);

}  // namespace duan::kernels
