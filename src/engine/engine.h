// Running a graph: one sequence, its KV cache, and the logits of its tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "engine/sequence_images.h"
#include "ir/graph.h"

namespace duan::engine {

// Precision of the activations that enter matrix products. int16: many rows at once are rounded to 13 bits and a sign
// of the largest in each block of 64, few rows not at all (kernels/linear_int16.h). `automatic` is fp32 unless the
// weights are bf16 or quantized; then bf16 where the processor multiplies bf16 directly, int16 where that is faster
// than fp32. fp16 cannot be asked for: an ONNX graph may have it.
enum class Compute { automatic, fp32, int16, bf16, fp16 };
const char* compute_name(Compute compute);  // "auto", "fp32", "int16", "bf16", "fp16"

struct Options {
  int threads = 0;  // 0: one per processor
  Compute compute = Compute::automatic;
  DType kv_dtype = DType::f32;                // f32 or bf16
  bool kv_automatic = true;                   // kv_dtype follows compute: bf16 with bf16
  int64_t context = 0;                        // positions the KV cache holds; > 0
  int64_t chunk = 512;                        // tokens a forward pass takes at once; longer prompts run in several
  std::vector<std::string> disabled_fusions;  // names from fusion_names(), or "all"
};

// Called with a value of the graph when it is made: rows [first_row, first_row + rows) of the present chunk, `width`
// floats each. Values that a fusion never materialises are not seen.
using Probe = std::function<void(ir::ValueId value, int64_t first_row, int64_t rows, int64_t width, const float* data)>;

// logits[vocab] of the token at `index` of the ids given.
using LogitsFn = std::function<void(int64_t index, std::span<const float> logits)>;

struct MemoryUse {
  int64_t weight_bytes = 0;      // as stored
  int64_t kv_bytes = 0;          // capacity of the cache
  int64_t activation_bytes = 0;  // buffers of one chunk
};

class Engine {
 public:
  virtual ~Engine() = default;

  // Appends ids to the sequence. Returns the logits [vocab] that follow the last of them, valid until the next call.
  // Throws Error if an id is not in the vocabulary, ids do not fit the context, or logits are not finite (the error
  // names a weight that is not, if there is one). A failed call leaves the sequence as it was.
  virtual std::span<const float> forward(std::span<const int64_t> ids) = 0;

  // The same, with the logits after each of them.
  virtual void forward_all(std::span<const int64_t> ids, const LogitsFn& logits) = 0;

  // The images of the sequence, also of tokens that come later; nullptr: there are none. Tokens that were run before
  // stay what they were: truncate to where the images begin to differ. Throws Error if the model sees no images.
  virtual void set_images(std::shared_ptr<const SequenceImages> images) = 0;

  virtual void truncate(int64_t positions) = 0;  // forgets all but the first positions; 0 starts anew
  virtual int64_t position() const = 0;          // tokens in the sequence
  virtual int64_t context() const = 0;           // tokens that fit
  virtual void set_probe(Probe probe) = 0;       // empty: none
  virtual MemoryUse memory() const = 0;
  virtual Compute compute() const = 0;  // what automatic became
  virtual int threads() const = 0;
};

// Op by op in fp32 with the plain kernels: slow, obvious, the specification. Ignores threads, compute and fusions.
// The graph and checkpoint must outlive the engine.
std::unique_ptr<Engine> make_reference(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint,
                                       const Options& options);

// The planned engine. Results are bit-identical for any number of threads, and for any chunk unless compute is int16.
std::unique_ptr<Engine> make_native(const ir::Graph& graph, const checkpoint::Checkpoint& checkpoint,
                                    const Options& options);

}  // namespace duan::engine
