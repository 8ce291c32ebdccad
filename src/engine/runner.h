// Runs the steps of a plan over the rows of a chunk: owns the buffers, the KV cache and the threads of one sequence.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "engine/engine.h"
#include "engine/inputs.h"
#include "engine/kv_cache.h"
#include "engine/memory.h"
#include "engine/plan.h"
#include "engine/profile.h"

namespace duan::engine {

class Runner {
 public:
  Runner(Plan plan, KvCache cache, int threads);

  // What each input of the graph holds for the rows of a chunk; it must stay valid while its steps run. `position` is
  // that of the first row in the sequence.
  struct Chunk {
    std::span<const InputRows> inputs{};
    int64_t position = 0;
  };
  void start(const Chunk& chunk) { chunk_ = chunk; }

  // Steps [first_step, last_step) of the plan for `rows` rows of the chunk from `first_row` on.
  void run(size_t first_step, size_t last_step, int64_t first_row, int64_t rows);

  // An output of the plan: row 0 is that of the last call's `first_row`.
  const float* output(size_t index = 0) const {
    const BufferId id = plan_.outputs[index];
    return reinterpret_cast<const float*>(bytes(id, buffer(id).per_slice ? 0 : first_row_ / buffer(id).merged));
  }

  const Plan& plan() const { return plan_; }
  int64_t kv_bytes() const { return cache_.bytes(); }
  int threads() const { return pool_.threads(); }
  void set_probe(Probe probe) { probe_ = std::move(probe); }

 private:
  void show(ir::ValueId value, BufferId id);
  const Buffer& buffer(BufferId id) const { return plan_.buffers[static_cast<size_t>(id)]; }
  std::byte* bytes(BufferId id, int64_t index) const;  // row `index` of the buffer
  void* data(BufferId id, int64_t row) const;          // row `row` of the rows being run
  template <typename Number>
  const Number* input(size_t index, int64_t row, int64_t width) const {
    return std::get<std::span<const Number>>(chunk_.inputs[index]).data() + (first_row_ + row) * width;
  }
  float* floats(BufferId id, int64_t row) const { return static_cast<float*>(data(id, row)); }

  // work(first, last) or work(first, last, thread) over [0, count), shared out in equal parts unless it is small.
  template <typename Work>
  void parallel(int64_t count, int64_t grain, int64_t cost, const Work& work);
  // work(first, last, thread) over [0, count), in an order that depends on timing alone.
  template <typename Work>
  void share_columns(int64_t count, int64_t cost, const Work& work);
  // work(item, thread) for the items [0, count): each thread takes the next one when it is done with its last.
  template <typename Work>
  void deal(int64_t count, const Work& work);

  void run_step(const InputStep& s);
  void run_step(const EmbedStep& s);
  void run_step(const BlendRowsStep& s);
  void run_step(const PutRowsStep& s);
  void run_step(const AnglesStep& s);
  void run_step(const NormStep& s);
  void run_step(const LayerNormStep& s);
  void run_step(const RoundInputStep& s);
  void run_step(const LinearStep& s);
  void run_step(const GateUpStep& s);
  void run_step(const RopeStep& s);
  void run_step(const AttentionStep& s);
  void run_step(const AddStep& s);
  void run_step(const MulStep& s);
  void run_step(const SiluStep& s);
  void run_step(const GeluStep& s);
  void run_step(const CastStep& s);
  void run_step(const SliceStep& s);
  void run_step(const MergeRowsStep& s);

  // Columns [first, last) of the part's output.
  void run_part(const LinearPart& part, int64_t first, int64_t last, bool accumulate, int thread) const;
  // Rows of plain weights, all columns.
  void run_rows(const LinearPart& part, int64_t first, int64_t last, bool accumulate) const;
  // `w` holds the weight's rows from `origin` on.
  kernels::LinearArgs linear_args(const LinearPart& part, const std::byte* w, DType w_dtype, int64_t first,
                                  int64_t last, int64_t origin, bool accumulate) const;
  void multiply(const FloatKernels& kernels, const kernels::LinearArgs& args) const;
  void multiply_int8(const LinearPart& part, const Int8Product& product, int64_t first, int64_t last,
                     bool accumulate) const;
  void rotate(float* x, int64_t stride, BufferId angles, int64_t row, int64_t rows, int64_t heads, int64_t n) const;
  void prepare(const AttentionStep& s, float* x, int64_t stride, const std::vector<float>& norm, int64_t row,
               int64_t rows, int64_t heads) const;

  Plan plan_;
  KvCache cache_;
  ThreadPool pool_;
  ZeroedMemory arena_, scratch_, dequantized_;
  int64_t scratch_floats_ = 0;  // per thread
  std::vector<float> shown_;    // to the probe, of a buffer in bf16
  std::vector<float> ones_;     // silu(x) = silu(x) * 1
  Probe probe_;
  std::optional<Profile> profile_ = Profile::from_environment();
  // What is being run; rows are those of the present step, which may stand for several of the chunk.
  Chunk chunk_;
  int64_t first_row_ = 0, rows_ = 0;
};

}  // namespace duan::engine
