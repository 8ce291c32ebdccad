// What the files that lower operations share; not for use outside of onnx/.
//
// Activations are two-dimensional, [batch * tokens, width], or [batch * tokens, heads, head_dim]: a linear is then one
// Gemm, which reads the checkpoint's [out, in] matrix as it is. Only attention needs batch and tokens apart.
#pragma once

#include <limits>
#include <map>
#include <optional>

#include "onnx/builder.h"
#include "onnx/lower.h"
#include "onnx/names.h"
#include "onnx/quantized_weights.h"
#include "tensor/angles.h"

namespace duan::onnx {

inline constexpr const char* kMicrosoft = "com.microsoft";
inline constexpr const char* kBatch = "batch_size";
inline constexpr const char* kTokens = "sequence_length";
inline constexpr const char* kPast = "past_sequence_length";
inline constexpr const char* kTotal = "total_sequence_length";

// What one ONNX graph is made of.
enum class Part {
  decoder,    // the graph, or if it sees images what stands behind its embeddings
  embedding,  // what stands before that
  tower,      // all of a vision tower
};

class Lowering {
 public:
  // `of_tower`: the configuration of the model whose tower it is, for that part alone.
  Lowering(const ir::Graph& graph, Part part, const checkpoint::Checkpoint& checkpoint, const Options& options,
           const checkpoint::ModelConfig* of_tower = nullptr);
  Model run();

 private:
  // What each operation becomes; the visitor of run().
  void lower(const ir::Embed& op);
  void lower(const ir::BlendRows& op);
  void lower(const ir::PutRows& op);
  void lower(const ir::Linear& op);
  void lower(const ir::RmsNorm& op);
  void lower(const ir::LayerNorm& op);
  void lower(const ir::Add& op);
  void lower(const ir::Mul& op);
  void lower(const ir::Silu& op);
  void lower(const ir::Gelu& op);
  void lower(const ir::Angles& op);
  void lower(const ir::Rope& op);
  void lower(const ir::Attention& op);
  void lower(const ir::Reshape& op);
  void lower(const ir::Slice& op);
  void lower(const ir::MergeRows& op);

  // attention.cpp, one per dialect: q, k, v are [batch * tokens, heads, head_dim]; so is the result.
  struct Heads {
    int64_t q, kv, dim;
  };
  Name attention_onnx21(const ir::Attention& op, const Heads& heads);
  Name attention_onnx23(const ir::Attention& op, const Heads& heads);
  Name attention_ort(const ir::Attention& op, const Heads& heads);
  Name rope_onnx21(const Name& x, ir::ValueId angles);
  Name rope_onnx23(const Name& x, int64_t heads, int64_t dim, ir::ValueId angles);
  Name rope_ort(const Name& x, int64_t heads, int64_t dim, ir::ValueId angles);
  Name full_attention_onnx21(const ir::Attention& op, const Heads& heads);
  Name full_attention_ort(const ir::Attention& op, const Heads& heads);
  // k or v [batch, kv_heads, tokens, head_dim] behind the past: the present, which is an output.
  Name with_past(const Name& x, const ir::Attention& op, const char* which);
  Name past(const ir::Attention& op, const char* which) const;
  Name present(const ir::Attention& op, const char* which) const;
  std::string kv_name(const char* prefix, const ir::Attention& op, const char* which) const;
  std::pair<Name, Name> cosines_and_sines(const ir::Node& node, const Name& positions);
  int64_t coordinates(ir::ValueId angles) const;  // of the positions the angles are of
  // Whether turns_ holds tables [n, dim / 2], for ONNX Runtime's own operator.
  bool is_table_of_rows(ir::ValueId angles) const;
  // Whether q and k are turned inside the attention operator, not by nodes of their own.
  bool turns_inside(ir::ValueId angles) const;
  // What turns q and k, for an operator that does it inside: the angles, or nothing if neither is turned.
  std::optional<ir::ValueId> shared_angles(ir::ValueId q, ir::ValueId k) const;

  // inputs.cpp: the graph's inputs and what is computed from them once.
  void declare_inputs();
  void declare_decoder_inputs();
  void declare_outputs();
  void declare_logits();
  Name flat_ids(ir::ValueId ids);                              // [batch * tokens]
  Name flat_rows(const Name& input, int64_t width);            // of f32 [batch, tokens, width], as activations
  Name positions(ir::ValueId id);                              // f32 [batch * tokens, coordinates]
  Name batch_tokens_and(const std::vector<int64_t>& rest);     // i64 [2 + rest]: batch, tokens, rest
  Name batch_and(const std::vector<int64_t>& rest);            // i64 [1 + rest]
  Name allowed(bool causal);                                   // bool [batch, 1, tokens, total]
  Name allowed_for_groups(bool causal, int64_t heads_per_kv);  // bool [batch, 1, heads_per_kv * tokens, total]
  Name lengths();                                              // i32 [batch]: visible tokens less one
  Name total_length();                                         // i32 []
  std::pair<Name, Name> rotary_tables(ir::ValueId angles);     // [context, head_dim / 2] each

  // grid.cpp: the inputs of a vision tower, computed from image_grid_thw.
  void declare_tower_inputs();
  // i64 [patches], in block-major order: where each patch stands, of the grid's axis 1 (y) or 2 (x).
  Name patch_coordinate(int axis);
  // Of that axis, for each patch: the two rows or columns of the table it lies between, i64 and f32 [patches, 2].
  std::pair<Name, Name> between_entries(int axis);

  // linear.cpp
  Name weight(ir::WeightId id);                            // a dense weight in the type of activations
  Name dense(ir::WeightId id);                             // its initializer
  Name as_activation(const Name& x, ir::WeightId weight);  // x, which has the type of that weight's initializer
  Name last_tokens(const Name& x);
  Name to_f32(const Name& x);
  Name with_bias(const Name& y, ir::WeightId bias);

  // quantized.cpp: x f32 [n, in] -> f32 [n, out], or ids [n] -> f32 [n, width], under the name of node_.
  Name product(const Name& x, const Weight& weight, const Int8Channel& format);
  Name product(const Name& x, const Weight& weight, const IntGroup& format);
  Name lookup(const Name& ids, const Weight& weight, const Int8Channel& format);
  Name lookup(const Name& ids, const Weight& weight, const IntGroup& format);
  Name product_of_blocks(const Name& x, const Weight& weight, const IntGroup& format);
  Name lookup_of_blocks(const Name& ids, const Weight& weight, const IntGroup& format);
  Name int8_codes(const Weight& weight, const std::byte* codes, bool biased);      // i8 [out, in]
  Name transposed(const Name& x);                                                  // [in, out]; made at load
  Name no_zero_points(const Weight& weight);                                       // i8 [out]
  Name scales(const Weight& weight, const Dense& scales, const Shape& shape);      // as stored
  Name f32_scales(const Weight& weight, const Dense& stored, const Shape& shape);  // converted at load
  Name blocks(const Weight& weight, const IntGroup& format);                       // u8 [out, groups, bytes], as stored
  Name zero_points(const Weight& weight, const IntGroup& format, ZeroPoints form);
  Name rounded_fixed(const Name& x, const InputScheme& scheme);  // f32 of u8 codes
  std::pair<Name, Name> rounded_dynamic(const Name& x);          // u8 codes, and f32 scales [n, 1]

  const Name& in(size_t i) const { return names_[static_cast<size_t>(node_->inputs[i])]; }
  void out(Name name) { names_[static_cast<size_t>(node_->output)] = std::move(name); }
  const ir::Dims& dims(ir::ValueId id) const { return graph_.value(id).type.dims; }
  const ir::Node* producer(ir::ValueId id) const;
  bool is_output(ir::ValueId id) const;
  Name to_activation(const Name& name, const Name& f32);  // a cast in fp16, else f32 itself
  std::string total_symbol() const { return options_.kv_cache ? kTotal : kTokens; }

  const ir::Graph& graph_;
  Part part_;
  const checkpoint::Checkpoint& checkpoint_;
  Options options_;
  const checkpoint::VisionConfig* tower_;
  int32_t float_type_;  // of activations
  Builder b_;
  std::vector<Name> names_;                             // by ValueId
  std::map<ir::ValueId, std::pair<Name, Name>> turns_;  // angles -> cosines, sines
  const ir::Node* node_ = nullptr;
  bool int8_products_ = false;
  bool keeps_dtypes_ = false;  // of dense weights: in quantized models of fp32 activations
  bool sees_images_ = false;   // the graph does, of which this is a part
  ir::ValueId ids_ = -1, positions_ = -1;
  Name tokens_;  // the input whose first dimensions are batch and tokens
};

}  // namespace duan::onnx
