// How a model file writes its graph. A scope is a path in the checkpoint: scope / "q_proj" names the weight
// "….q_proj.weight", so there is no renaming table. Shapes are checked as each node is added; Error names the node.
#pragma once

#include <string>
#include <string_view>

#include "ir/graph.h"

namespace duan::ir {

inline constexpr DimName B = DimName::batch;
inline constexpr DimName T = DimName::tokens;
inline constexpr DimName P = DimName::patches;

// A value of a graph under construction.
struct Value {
  Graph* graph;
  ValueId id;
  const ValueInfo& info() const { return graph->value(id); }
};

class Scope {
 public:
  explicit Scope(Graph& graph, std::string path = "") : graph_(&graph), path_(std::move(path)) {}
  Scope operator/(std::string_view part) const;
  Scope operator/(int index) const { return *this / std::to_string(index); }

  Graph& graph() const { return *graph_; }
  const std::string& path() const { return path_; }

 private:
  Graph* graph_;
  std::string path_;
};

Value input(Graph& graph, std::string name, DType dtype, Dims dims);
void output(Value value);  // makes it an output of its graph

Value embed(Scope scope, Value ids, int64_t vocab, int64_t width);
Value blend_rows(Scope scope, Value ids, Value shares, int64_t rows, int64_t width);
Value put_rows(Value x, Value rows, Value mask);
Value linear(Scope scope, Value x, int64_t out, bool bias = false);  // last axis of x -> out
Value linear(Scope scope, Value x, Shape weight, bool bias);         // the same for a weight [out, ...] of more axes
Value rms_norm(Scope scope, Value x, double eps);                    // over the last axis
Value layer_norm(Scope scope, Value x, double eps);
Value silu(Value x);
Value gelu(Value x, GeluForm form);
Value operator+(Value a, Value b);
Value operator*(Value a, Value b);

Value angles(Value positions, const duan::Rope& rope, int64_t dim);
Value rope(Value x, Value angles);
Value split_heads(Value x, int64_t heads);  // [B, T, H*D] -> [B, T, H, D]

Value slice(Value x, int64_t first, int64_t count, std::string_view name);  // named x's name / name
Value merge_rows(Value x, int64_t count);

// softmax(q k^T / sqrt(D)) v over the cached and present tokens, heads joined: [B, T, H*D].
Value attention(Value q, Value k, Value v, int layer);
// The same over all rows of the chunk, without a cache.
Value full_attention(Value q, Value k, Value v);

}  // namespace duan::ir
