// What rounding has changed so far in what a layer reads and where its output goes, as far as the layer can make up for
// it: d is what an output y = w x of the source lacks in the rounded model, whose layer reads x, and the mean of d x^T
// over tokens says which change of w brings the two nearest to each other (gptq.h).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "quant/block_calibration.h"
#include "quant/token_columns.h"

namespace duan::quant {

// The mean over tokens of a b^T. The same bits for any number of threads and however tokens are cut into calls. Memory:
// 4 * rows * columns bytes, and what token_columns.h says for each row and column while tokens are added.
class MeanProduct {
 public:
  // a and b are multiplied in f32, or rounded to i8 first; sums are f32 either way.
  MeanProduct(int64_t rows, int64_t columns, DType products = DType::f32);

  // a[tokens, rows], b[tokens, columns].
  void add(int64_t tokens, const float* a, const float* b, ThreadPool& pool);
  // [rows, columns], after the last token.
  std::vector<float> take(ThreadPool& pool);

 private:
  void add_waiting(ThreadPool& pool);

  int64_t rows_, columns_, tokens_ = 0;
  TokenColumns a_, b_;       // tokens not in the sums yet
  std::vector<float> sums_;  // [rows, columns]
};

struct CarriedError {
  std::vector<float> mean;        // [outputs, width]: of d x^T, or [width, width]: of x (x' - x)^T
  std::vector<double> squares{};  // [outputs]: mean of d^2; empty with the latter
  int64_t tokens = 0;             // that these are means of
};

struct CarriedRun {
  const ir::Graph& graph;               // of the block, which reads hidden states
  const engine::WeightSource& weights;  // of layers that are rounded already: as they are now
  const CalibrationPart& part;  // the samples that hidden states of the rounded model are of; the source's are of all
  int threads;
  std::function<void(int64_t tokens)> progress{};   // after each sample, the tokens done; may throw
  engine::Compute compute = engine::Compute::fp32;  // or bf16
};

// For layers that read `value`, which no linear layer of the block stands before: x' being what the source reads, the d
// of a weight w is w (x' - x).
CarriedError carried_by_input(const CarriedRun& run, const std::string& value, const HiddenStates& source,
                              const HiddenStates& rounded, ThreadPool& pool);

// For the only layer that reads `value`, if the block ends by adding its output to the residual stream
// (ends_with_reader): d is what the block's output lacks, all that blocks before it have left included.
CarriedError carried_to_output(const CarriedRun& run, const std::string& value, const HiddenStates& source_out,
                               const HiddenStates& rounded, ThreadPool& pool);

// The same in bf16, where the layer is the last of the block that is still to be rounded: what it reads is kept, and
// `rounded` becomes what the block hands on with that layer as it is. What becomes of it can then be added without
// another pass. Memory: 2 * width bytes a token.
struct ReadByLast {
  int64_t width = 0;
  std::vector<uint16_t> values{};  // [tokens, width], bf16; what was here before is memory to use again
};
CarriedError carried_to_output(const CarriedRun& run, const std::string& value, const HiddenStates& source_out,
                               HiddenStates& rounded, ThreadPool& pool, ReadByLast& read);
// out += x change^T for change[outputs, width] in bf16.
void add_change(const ReadByLast& read, const std::vector<std::byte>& change, HiddenStates& out, ThreadPool& pool);

bool ends_with_reader(const ir::Graph& graph, const std::string& value);
bool follows_linear(const ir::Graph& graph, const std::string& value);

}  // namespace duan::quant
