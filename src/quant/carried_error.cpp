#include "quant/carried_error.h"

#include <algorithm>

#include "base/cpu.h"
#include "base/error.h"
#include "engine/segment.h"
#include "ir/subgraph.h"
#include "kernels/linear.h"
#include "quant/parts.h"

namespace duan::quant {
namespace {

constexpr int64_t kTaskRows = 128;    // of the sums: a task for a thread
constexpr int64_t kTaskTokens = 512;  // of a block's output: a task for a thread

ir::ValueId value_named(const ir::Graph& graph, const std::string& name) {
  for (ir::ValueId id = 0; id < static_cast<ir::ValueId>(graph.values.size()); ++id) {
    if (graph.value(id).name == name) return id;
  }
  DUAN_CHECK(false, "{} is not in the block", name);
}

engine::Options options_for(const CarriedRun& run) {
  engine::Options options;
  options.threads = run.threads > 0 ? run.threads : cpu_count();
  options.compute = run.compute;
  for (const std::vector<int64_t>& sample : run.part.set.samples) {
    options.context = std::max(options.context, static_cast<int64_t>(sample.size()));
  }
  return options;
}

// The rows of sample s of the part in the hidden states of the whole set.
std::span<const float> rows_of(const HiddenStates& whole, const CalibrationPart& part, size_t s) {
  const auto width = static_cast<size_t>(whole.width);
  return std::span(whole.values)
      .subspan(static_cast<size_t>(part.firsts[s]) * width, part.set.samples[s].size() * width);
}

// Calls visit(x, out) with what a sample's layer reads and what the block makes of it, before the next sample is read.
template <typename Visit>
CarriedError visit_outputs(const CarriedRun& run, const std::string& value, const HiddenStates& source_out,
                           const HiddenStates& rounded, ThreadPool& pool, const Visit& visit) {
  DUAN_CHECK(ends_with_reader(run.graph, value), "the block does not end with what reads {}", value);
  const ir::ValueId read = value_named(run.graph, value);
  engine::Segment segment(run.graph, run.weights, options_for(run));
  const int64_t width = ir::width(run.graph.value(read).type);
  MeanProduct product(segment.width(), width, sums_in(run.compute));
  std::vector<double> squares(static_cast<size_t>(segment.width()), 0.0);
  std::vector<float> x, lacking;
  segment.set_probe([&](ir::ValueId id, int64_t, int64_t rows, int64_t, const float* data) {
    if (id != read) return;
    const auto at = static_cast<int64_t>(x.size());
    x.resize(x.size() + static_cast<size_t>(rows * width));
    for_parts(pool, rows, 1, rows * width, [&](int64_t begin, int64_t end, int) {
      std::copy(data + begin * width, data + end * width, x.begin() + at + begin * width);
    });
  });
  int64_t done = 0;
  for (size_t s = 0; s < run.part.set.samples.size(); ++s) {
    const size_t rows = run.part.set.samples[s].size();
    x.clear();
    lacking.resize(rows * static_cast<size_t>(segment.width()));
    segment.run(std::span(rounded.values)
                    .subspan(static_cast<size_t>(done * rounded.width), rows * static_cast<size_t>(rounded.width)),
                lacking, run.part.set.images_of(s));
    visit(x, lacking);
    const std::span<const float> expected = rows_of(source_out, run.part, s);
    // Shared out by channels: each sum goes from the first row to the last.
    for_parts(pool, segment.width(), 16, 4 * static_cast<int64_t>(lacking.size()),
              [&](int64_t begin, int64_t end, int) {
                for (size_t r = 0; r < rows; ++r) {
                  for (auto c = static_cast<size_t>(begin); c < static_cast<size_t>(end); ++c) {
                    float& number = lacking[r * squares.size() + c];
                    number = expected[r * squares.size() + c] - number;
                    squares[c] += static_cast<double>(number) * number;
                  }
                }
              });
    product.add(static_cast<int64_t>(rows), lacking.data(), x.data(), pool);
    done += static_cast<int64_t>(rows);
    if (run.progress) run.progress(done);
  }
  for (double& square : squares) square /= static_cast<double>(done);
  return {product.take(pool), std::move(squares), done};
}

}  // namespace

MeanProduct::MeanProduct(int64_t rows, int64_t columns, DType products)
    : rows_(rows),
      columns_(columns),
      a_(rows, products),
      b_(columns, products),
      sums_(static_cast<size_t>(rows * columns)) {}

void MeanProduct::add(int64_t tokens, const float* a, const float* b, ThreadPool& pool) {
  for (int64_t first = 0; first < tokens;) {
    const int64_t taken = std::min(tokens - first, a_.room());
    a_.add(taken, a + first * rows_, {}, pool);
    b_.add(taken, b + first * columns_, {}, pool);
    first += taken;
    if (a_.room() == 0) add_waiting(pool);
  }
  tokens_ += tokens;
}

void MeanProduct::add_waiting(ThreadPool& pool) {
  a_.settle(pool);
  b_.settle(pool);
  for_tasks(pool, (rows_ + kTaskRows - 1) / kTaskRows, rows_ * columns_ * a_.depth(), [&](int64_t task) {
    const int64_t first = task * kTaskRows;
    add_products(a_, first, std::min(kTaskRows, rows_ - first), b_, 0, columns_, sums_.data() + first * columns_,
                 columns_);
  });
  a_.clear();
  b_.clear();
}

std::vector<float> MeanProduct::take(ThreadPool& pool) {
  DUAN_CHECK(tokens_ > 0, "no tokens");
  if (a_.room() < a_.depth()) add_waiting(pool);
  for (float& sum : sums_) sum /= static_cast<float>(tokens_);
  return std::move(sums_);
}

CarriedError carried_by_input(const CarriedRun& run, const std::string& value, const HiddenStates& source,
                              const HiddenStates& rounded, ThreadPool& pool) {
  const ir::Graph graph = ir::up_to(run.graph, value_named(run.graph, value));
  engine::Segment segment(graph, run.weights, options_for(run));
  const int64_t width = segment.width();
  MeanProduct product(width, width, sums_in(run.compute));
  std::vector<float> x, lacking;
  int64_t done = 0;
  for (size_t s = 0; s < run.part.set.samples.size(); ++s) {
    const size_t rows = run.part.set.samples[s].size();
    const size_t first = static_cast<size_t>(done * rounded.width), count = rows * static_cast<size_t>(rounded.width);
    x.resize(rows * static_cast<size_t>(width));
    lacking.resize(x.size());
    segment.run(std::span(rounded.values).subspan(first, count), x, run.part.set.images_of(s));
    segment.run(rows_of(source, run.part, s), lacking, run.part.set.images_of(s));
    for (size_t i = 0; i < x.size(); ++i) lacking[i] -= x[i];
    product.add(static_cast<int64_t>(rows), x.data(), lacking.data(), pool);
    done += static_cast<int64_t>(rows);
    if (run.progress) run.progress(done);
  }
  return {product.take(pool), {}, done};
}

CarriedError carried_to_output(const CarriedRun& run, const std::string& value, const HiddenStates& source_out,
                               const HiddenStates& rounded, ThreadPool& pool) {
  return visit_outputs(run, value, source_out, rounded, pool, [](const auto&, const auto&) {});
}

CarriedError carried_to_output(const CarriedRun& run, const std::string& value, const HiddenStates& source_out,
                               HiddenStates& rounded, ThreadPool& pool, ReadByLast& read) {
  DUAN_CHECK(source_out.width == rounded.width, "a block from {} to {} channels", rounded.width, source_out.width);
  read.width = ir::width(run.graph.value(value_named(run.graph, value)).type);
  read.values.resize(rounded.values.size() / static_cast<size_t>(rounded.width) * static_cast<size_t>(read.width));
  uint16_t* kept = read.values.data();
  float* to = rounded.values.data();
  return visit_outputs(
      run, value, source_out, rounded, pool, [&](const std::vector<float>& x, const std::vector<float>& out) {
        const auto rows = static_cast<int64_t>(out.size()) / rounded.width;
        for_parts(pool, rows, 1, static_cast<int64_t>(x.size()), [&](int64_t begin, int64_t end, int) {
          for (int64_t i = begin * read.width; i < end * read.width; ++i) {
            kept[i] = float_to_bf16(x[static_cast<size_t>(i)]);
          }
          std::copy(out.begin() + begin * rounded.width, out.begin() + end * rounded.width, to + begin * rounded.width);
        });
        kept += x.size();
        to += out.size();
      });
}

void add_change(const ReadByLast& read, const std::vector<std::byte>& change, HiddenStates& out, ThreadPool& pool) {
  const kernels::LinearKernel& kernel = kernels::select_linear(DType::bf16, DType::bf16);
  const auto tokens = static_cast<int64_t>(read.values.size()) / read.width;
  for_tasks(pool, (tokens + kTaskTokens - 1) / kTaskTokens, tokens * read.width * out.width, [&](int64_t task) {
    const int64_t first = task * kTaskTokens;
    kernel.run({.x = read.values.data() + first * read.width,
                .x_dtype = DType::bf16,
                .x_stride = read.width,
                .w = change.data(),
                .w_dtype = DType::bf16,
                .bias = nullptr,
                .y = out.values.data() + first * out.width,
                .y_stride = out.width,
                .rows = std::min(kTaskTokens, tokens - first),
                .first = 0,
                .last = out.width,
                .k = read.width,
                .accumulate = true});
  });
}

bool ends_with_reader(const ir::Graph& graph, const std::string& value) {
  const ir::ValueId read = value_named(graph, value);
  const ir::Node& last = graph.nodes.back();
  int readers = 0;
  bool ends = false;
  for (const ir::Node& node : graph.nodes) {
    if (std::find(node.inputs.begin(), node.inputs.end(), read) == node.inputs.end()) continue;
    ++readers;
    ends = std::holds_alternative<ir::Linear>(node.op) && std::holds_alternative<ir::Add>(last.op) &&
           std::find(last.inputs.begin(), last.inputs.end(), node.output) != last.inputs.end();
  }
  return readers == 1 && ends;
}

bool follows_linear(const ir::Graph& graph, const std::string& value) {
  const ir::Graph before = ir::up_to(graph, value_named(graph, value));
  return std::any_of(before.nodes.begin(), before.nodes.end(),
                     [](const ir::Node& node) { return std::holds_alternative<ir::Linear>(node.op); });
}

}  // namespace duan::quant
