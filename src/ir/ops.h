// The operations a graph is made of: a closed set of plain structs. Adding one breaks the build in every consumer
// that must handle it. An op is admitted only if two consumers need it and no composition of others does the same.
//
// Layout is fixed: [batch, tokens, width] or, per head, [batch, tokens, heads, head_dim]; a vision tower has patches in
// place of tokens until MergeRows. There is no transpose.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "tensor/rope.h"

namespace duan::ir {

using WeightId = int32_t;  // index into Graph::weights

// A dimension is a number or a name; no algebra on names.
enum class DimName : uint8_t { none, batch, tokens, patches };
struct Dim {
  int64_t extent = 0;  // if name is none
  DimName name = DimName::none;

  Dim(int64_t number) : extent(number) {}    // NOLINT: numbers are dimensions
  Dim(DimName dim_name) : name(dim_name) {}  // NOLINT: so are names
  bool operator==(const Dim&) const = default;
};
using Dims = std::vector<Dim>;

struct Embed {  // ids [B, T] -> rows of weight [vocab, width] as [B, T, width]
  WeightId weight;
};
struct BlendRows {  // (ids [B, T, K], shares [B, T, K]) -> sum over K of share * row id of weight [rows, width]
  WeightId weight;
};
struct PutRows {};  // (x [B, T, W], rows [B, T, W], mask i64 [B, T]) -> rows where the mask is not 0, else x
struct Linear {     // x [B, T, in] -> x W^T + b, W [out, in, ...] with its later axes flattened, b [out]
  WeightId weight;
  std::optional<WeightId> bias;
};
struct RmsNorm {  // over the last axis: w * x / sqrt(mean(x^2) + eps)
  WeightId weight;
  double eps;
};
struct LayerNorm {  // over the last axis: w * (x - mean(x)) / sqrt(variance(x) + eps) + b
  WeightId weight, bias;
  double eps;
};
struct Add {};   // elementwise, equal shapes
struct Mul {};   // elementwise, equal shapes
struct Silu {};  // x * sigmoid(x)
enum class GeluForm : uint8_t { erf, tanh };
struct Gelu {  // x/2 (1 + erf(x / sqrt(2))), or x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
  GeluForm form;
};
struct Angles {  // positions [B, T], or [B, T, axes] -> cos and sin of position * frequency_j: [B, T, dim]: dim/2 of
                 // each
  duan::Rope rope;
  int64_t dim;
};
struct Rope {};     // (x [B, T, H, D], angles [B, T, D]): rotates the pairs (j, j + D/2)
struct Attention {  // (q [B, T, H, D], k, v [B, T, KV, D]) -> [B, T, H, D]; query head h reads kv head h / (H / KV)
  double scale;     // of q.k
  bool causal;      // token t of the chunk sees the cached tokens and tokens 0..t; else all see all of the chunk
  int32_t cache;    // which KV cache (the layer's number); the session owns it, it is never a value. kNoCache: none
};
inline constexpr int32_t kNoCache = -1;
struct Reshape {  // the same elements under other dimensions; the first two stay in front
  Dims dims;
};
struct Slice {  // elements [first, first + count) of the last axis
  int64_t first, count;
};
struct MergeRows {  // [B, patches, W] -> [B, tokens, count * W]: each `count` consecutive rows become one
  int64_t count;
};

using Op = std::variant<Embed, BlendRows, PutRows, Linear, RmsNorm, LayerNorm, Add, Mul, Silu, Gelu, Angles, Rope,
                        Attention, Reshape, Slice, MergeRows>;

}  // namespace duan::ir
