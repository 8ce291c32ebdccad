// The specification of attention.h: softmax(scale * q K^T) V. Scores are computed anew for the maximum, the sum and the
// weights, so that no context length needs memory.
#include <cmath>

#include "kernels/attention_list.h"
#include "kernels/load.h"

namespace duan::kernels {
namespace {

double score(const AttentionArgs& args, const float* query, int64_t position) {
  const KvView& kv = args.kv;
  const int64_t tile = position / kKeyTile, lane = position % kKeyTile;
  double sum = 0;
  for (int64_t d = 0; d < kv.head_dim; ++d) {
    sum += static_cast<double>(query[d]) * load_float(kv.keys, kv.dtype, (tile * kv.head_dim + d) * kKeyTile + lane);
  }
  return sum * args.scale;
}

}  // namespace

void attention_ref(const AttentionArgs& args) noexcept {
  const KvView& kv = args.kv;
  for (int64_t row = 0; row < args.rows; ++row) {
    const int64_t positions = args.positions > 0 ? args.positions : args.first_position + row + 1;
    for (int64_t head = 0; head < args.heads_per_kv; ++head) {
      const float* query = args.q + row * args.q_stride_row + head * args.q_stride_head;
      double highest = -INFINITY;
      for (int64_t p = 0; p < positions; ++p) {
        const double s = score(args, query, p);
        if (s > highest) highest = s;
      }
      double total = 0;
      for (int64_t p = 0; p < positions; ++p) total += std::exp(score(args, query, p) - highest);
      for (int64_t d = 0; d < kv.head_dim; ++d) args.scratch[d] = 0;
      for (int64_t p = 0; p < positions; ++p) {
        const double weight = std::exp(score(args, query, p) - highest) / total;
        for (int64_t d = 0; d < kv.head_dim; ++d) {
          args.scratch[d] += static_cast<float>(weight * load_float(kv.values, kv.dtype, p * kv.head_dim + d));
        }
      }
      const int64_t at = row * args.out_stride_row + head * args.out_stride_head;
      for (int64_t d = 0; d < kv.head_dim; ++d) store_float(args.out, args.out_dtype, at + d, args.scratch[d]);
    }
  }
}

}  // namespace duan::kernels
