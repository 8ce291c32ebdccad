// The operations a graph is made of: a closed set of plain structs. Adding one breaks the build in every consumer
// that must handle it. An op is admitted only if two consumers need it and no composition of others does the same.
//
// Layout is fixed: [batch, tokens, width] or, per head, [batch, tokens, heads, head_dim]. There is no transpose.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "tensor/rope.h"

namespace duan::ir {

using WeightId = int32_t;  // index into Graph::weights

// A dimension is a number or a name; no algebra on names.
enum class DimName : uint8_t { none, batch, tokens };
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
struct Linear {  // x [B, T, in] -> x W^T + b, W [out, in], b [out]
  WeightId weight;
  std::optional<WeightId> bias;
};
struct RmsNorm {  // over the last axis: w * x / sqrt(mean(x^2) + eps)
  WeightId weight;
  double eps;
};
struct Add {};   // elementwise, equal shapes
struct Mul {};   // elementwise, equal shapes
struct Silu {};  // x * sigmoid(x)
struct Angles {  // positions [B, T] -> cos and sin of position * frequency_j, [B, T, dim]: dim/2 cosines, dim/2 sines
  duan::Rope rope;
  int64_t dim;
};
struct Rope {};     // (x [B, T, H, D], angles [B, T, D]): rotates the pairs (j, j + D/2)
struct Attention {  // (q [B, T, H, D], k, v [B, T, KV, D]) -> [B, T, H, D]; query head h reads kv head h / (H / KV)
  double scale;     // of q.k
  bool causal;      // token t of the chunk sees the cached tokens and tokens 0..t
  int32_t cache;    // which KV cache (the layer's number); the session owns it, it is never a value
};
struct Reshape {  // the same elements under other dimensions; [B, T] stay in front
  Dims dims;
};

using Op = std::variant<Embed, Linear, RmsNorm, Add, Mul, Silu, Angles, Rope, Attention, Reshape>;

}  // namespace duan::ir
