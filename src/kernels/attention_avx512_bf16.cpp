// Attention of all rows to all positions with AVX512-BF16: queries, keys, weights and values multiplied as bfloat16.
#include "kernels/attention_list.h"
#include "kernels/attention_tiles.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "base/target.h"
#include "kernels/unroll.h"

DUAN_TARGET_BEGIN(DUAN_TARGET_AVX512_BF16)

namespace duan::kernels::avx512_bf16 {
namespace {
// clang-format off
#include "kernels/vector_avx512.inc"
#include "kernels/vector_math.inc"
#include "kernels/attention_tiles.inc"
// clang-format on

// A vector is 16 pairs of bfloat16, a pair in a lane: two components of a key for scores, the values of two positions
// for outputs. A block of the cache is laid out in such pairs once for a group of queries; a tile of queries goes over
// it from scores to outputs, so that its scores stay in the L1 cache.
constexpr int64_t kPair = 2;
constexpr float kLog2E = 1.44269504f;
constexpr int64_t kBlockVectors = kPositionBlock / kLanes, kBlockPairs = kPositionBlock / kPair;

inline Ints pair(__m256i low, __m256i high) {
  return _mm512_or_si512(_mm512_cvtepu16_epi32(low), _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
}
inline Vec add_products(Vec sum, Ints a, Ints b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
inline Ints broadcast_pair(const uint16_t* p) {
  int bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return _mm512_set1_epi32(bits);
}
inline void store_rounded(uint16_t* p, Vec v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), (__m256i)_mm512_cvtneps_pbh(v));
}

// 2^x for x <= 0 within 3e-6 of it, far below what rounding to bfloat16 changes; 2^-126 below -126; NaN for NaN.
inline Vec power_of_two(Vec x) {
  x = max(broadcast(-126.0f), x);
  const Vec n = round(x), r = sub(x, n);
  // Of degree 4 with the least relative error over |r| <= 1/2.
  Vec p = broadcast(9.5701017916e-3f);
  p = mul_add(p, r, broadcast(5.5917860310e-2f));
  p = mul_add(p, r, broadcast(2.4024744831e-1f));
  p = mul_add(p, r, broadcast(6.9312181474e-1f));
  p = mul_add(p, r, broadcast(9.9999926144e-1f));
  return scale_to_normal(p, n);
}

// weigh() of scores that are binary logarithms; the weights are rounded, the total is of those that are not.
inline void weigh_rounded(Query& query, uint16_t* rounded) {
  const int64_t positions = query.positions;
  const Vec rescale = power_of_two(broadcast(query.rescale)), highest = broadcast(query.highest);
  query.rescale = first_lane(rescale);
  Vec totals = mul(load(query.totals), rescale);
  const auto keep = [&](int64_t p, Vec weight) {
    store_rounded(rounded + p, weight);
    totals = add(totals, weight);
  };
  const auto next = [&](int64_t p) { return power_of_two(sub(load(query.weights + p), highest)); };
  int64_t p = 0;
  for (; p + kLanes <= positions; p += kLanes) keep(p, next(p));
  if (p < positions) keep(p, keep_first(next(p), positions - p, zero()));
  store(query.totals, totals);
}

struct Block {
  Ints* keys;    // [kBlockVectors][head_dim / 2]
  Ints* values;  // [padded / 16][kBlockPairs]
  int64_t positions;
};

void pack(const KvView& kv, int64_t first, const Block& block) {
  const int64_t n = kv.head_dim;
  const auto* keys = reinterpret_cast<const uint16_t*>(kv.keys) + first * n;
  for (int64_t v = 0; v * kLanes < block.positions; ++v) {
    for (int64_t d = 0; d < n; d += kPair) {
      const auto* at = reinterpret_cast<const __m256i*>(keys + (v * n + d) * kKeyTile);
      block.keys[(v * n + d) / kPair] = pair(_mm256_loadu_si256(at), _mm256_loadu_si256(at + 1));
    }
  }
  const auto* values = reinterpret_cast<const uint16_t*>(kv.values) + first * n;
  for (int64_t d = 0; d < n; d += kLanes) {
    const Mask here = first_lanes(n - d < kLanes ? n - d : kLanes);
    for (int64_t p = 0; p < block.positions; p += kPair) {
      const uint16_t* at = values + p * n + d;
      // What lies beyond the last position may be no number.
      const __m256i next = p + 1 < block.positions ? _mm256_maskz_loadu_epi16(here, at + n) : _mm256_setzero_si256();
      block.values[d / kLanes * kBlockPairs + p / kPair] = pair(_mm256_maskz_loadu_epi16(here, at), next);
    }
  }
}

// queries[i].weights[p] = q_i . key_p for V vectors of positions from `first` on.
template <int Q, int V>
void score_pairs(const Query* queries, const uint16_t* const* q, const Ints* keys, int64_t pairs, int64_t first) {
  Vec sums[Q][V];
  DUAN_UNROLL
  for (int i = 0; i < Q; ++i) {
    DUAN_UNROLL
    for (int j = 0; j < V; ++j) sums[i][j] = zero();
  }
  DUAN_UNROLL_4
  for (int64_t d = 0; d < pairs; ++d) {
    Ints key[V];
    DUAN_UNROLL
    for (int j = 0; j < V; ++j) key[j] = keys[j * pairs + d];
    DUAN_UNROLL
    for (int i = 0; i < Q; ++i) {
      const Ints component = broadcast_pair(q[i] + kPair * d);
      DUAN_UNROLL
      for (int j = 0; j < V; ++j) sums[i][j] = add_products(sums[i][j], component, key[j]);
    }
  }
  DUAN_UNROLL
  for (int i = 0; i < Q; ++i) {
    DUAN_UNROLL
    for (int j = 0; j < V; ++j) store(queries[i].weights + first + j * kLanes, sums[i][j]);
  }
}

// output[i] = rescale_i * output[i] + sum over pairs of positions of weights and values, V vectors from component d on.
template <int Q, int V>
void value_pairs(const Query* queries, const uint16_t* const* weights, const Ints* values, int64_t pairs, int64_t d) {
  Vec sums[Q][V];
  DUAN_UNROLL
  for (int i = 0; i < Q; ++i) {
    DUAN_UNROLL
    for (int j = 0; j < V; ++j) {
      sums[i][j] = mul(load(queries[i].output + d + j * kLanes), broadcast(queries[i].rescale));
    }
  }
  DUAN_UNROLL_4
  for (int64_t p = 0; p < pairs; ++p) {
    Ints value[V];
    DUAN_UNROLL
    for (int j = 0; j < V; ++j) value[j] = values[j * kBlockPairs + p];
    DUAN_UNROLL
    for (int i = 0; i < Q; ++i) {
      const Ints weight = broadcast_pair(weights[i] + kPair * p);
      DUAN_UNROLL
      for (int j = 0; j < V; ++j) sums[i][j] = add_products(sums[i][j], weight, value[j]);
    }
  }
  DUAN_UNROLL
  for (int i = 0; i < Q; ++i) {
    DUAN_UNROLL
    for (int j = 0; j < V; ++j) store(queries[i].output + d + j * kLanes, sums[i][j]);
  }
}

// One block of positions for Q queries; rounded: [Q][kPositionBlock] for their weights.
template <int Q>
void step_pairs(Query* queries, const uint16_t* const* q, const Block& block, int64_t head_dim, uint16_t* rounded) {
  const int64_t pairs = head_dim / kPair, vectors = (block.positions + kLanes - 1) / kLanes;
  int64_t v = 0;
  for (; v + kVectors <= vectors; v += kVectors) {
    score_pairs<Q, kVectors>(queries, q, block.keys + v * pairs, pairs, v * kLanes);
  }
  for (; v < vectors; ++v) score_pairs<Q, 1>(queries, q, block.keys + v * pairs, pairs, v * kLanes);
  const uint16_t* weights[Q];
  for (int i = 0; i < Q; ++i) raise(queries[i]);
  for (int i = 0; i < Q; ++i) {
    weights[i] = rounded + i * kPositionBlock;
    weigh_rounded(queries[i], rounded + i * kPositionBlock);
  }
  const int64_t columns = (head_dim + kLanes - 1) / kLanes, position_pairs = (block.positions + 1) / kPair;
  int64_t c = 0;
  for (; c + kVectors <= columns; c += kVectors) {
    value_pairs<Q, kVectors>(queries, weights, block.values + c * kBlockPairs, position_pairs, c * kLanes);
  }
  for (; c < columns; ++c) {
    value_pairs<Q, 1>(queries, weights, block.values + c * kBlockPairs, position_pairs, c * kLanes);
  }
}

}  // namespace

void attention(const AttentionArgs& args) noexcept {
  const int64_t head_dim = args.kv.head_dim, padded = (head_dim + 15) / 16 * 16;
  const int64_t count = args.rows * args.heads_per_kv;
  Ints* const keys = reinterpret_cast<Ints*>(args.scratch);
  Ints* const values = keys + kBlockVectors * padded / kPair;
  float* const outputs = reinterpret_cast<float*>(values + padded / kLanes * kBlockPairs);
  float* const totals = outputs + kPairGroup * padded;
  float* const scores = totals + kPairGroup * kTotals;
  auto* const rounded = reinterpret_cast<uint16_t*>(scores + kTileQueries * kPositionBlock);
  uint16_t* const scaled = rounded + kTileQueries * kPositionBlock;
  for (int64_t start = 0; start < count; start += kPairGroup) {
    const int group = static_cast<int>(count - start < kPairGroup ? count - start : kPairGroup);
    Query queries[kPairGroup];
    const uint16_t* q[kPairGroup];
    for (int i = 0; i < group; ++i) {
      const int64_t row = (start + i) / args.heads_per_kv, head = (start + i) % args.heads_per_kv;
      const float* from = args.q + row * args.q_stride_row + head * args.q_stride_head;
      queries[i] = {nullptr,
                    args.positions,
                    kLowest,
                    1,
                    totals + i * kTotals,
                    outputs + i * padded,
                    scores + i % kTileQueries * kPositionBlock,
                    0};
      q[i] = scaled + i * padded;
      for (int64_t d = 0; d < padded; d += kLanes) {
        const Vec part = d + kLanes <= head_dim ? load(from + d) : load_part(from + d, head_dim - d);
        store_rounded(scaled + i * padded + d, mul(part, broadcast(args.scale * kLog2E)));
        store(queries[i].output + d, zero());
      }
      store(queries[i].totals, zero());
    }
    for (int64_t first = 0; first < args.positions; first += kPositionBlock) {
      const int64_t left = args.positions - first;
      const Block block{keys, values, left < kPositionBlock ? left : kPositionBlock};
      pack(args.kv, first, block);
      for (int i = 0; i < group; ++i) queries[i].positions = block.positions;
      for_tiles(group, [&]<int Q>(int i, Count<Q>) { step_pairs<Q>(queries + i, q + i, block, head_dim, rounded); });
    }
    for (int i = 0; i < group; ++i) {
      const int64_t row = (start + i) / args.heads_per_kv, head = (start + i) % args.heads_per_kv;
      const int64_t at = row * args.out_stride_row + head * args.out_stride_head;
      const Vec total = broadcast(sum_lanes(load(queries[i].totals)));
      for (int64_t d = 0; d < head_dim; d += kLanes) {
        put(args.out, args.out_dtype, at + d, div(load(queries[i].output + d), total), head_dim - d);
      }
    }
  }
}

}  // namespace duan::kernels::avx512_bf16

DUAN_TARGET_END
#endif
