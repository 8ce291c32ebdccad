#include "engine/runner.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <type_traits>

namespace duan::engine {
namespace {

// Multiply-adds below which sharing a step out costs more than it saves.
constexpr int64_t kParallelWork = 1 << 15;
constexpr int64_t kColumnGrain = 16;  // columns of a matrix go to threads in multiples of this
constexpr int64_t kDealtRows = 64;    // from which on columns are dealt out, so many at a time:
constexpr int64_t kDealtColumns = 384;
constexpr int64_t kGateUpColumns = 192;  // of gate and up computed before they are combined, while still in cache
constexpr int64_t kAttentionRows = 48;   // rows of a chunk that one work item of attention takes
constexpr int64_t kAllToAllRows = 144;   // the same where every row attends to all
constexpr int64_t kLinearRows = 192;     // rows of a picture that one work item of a linear layer takes

}  // namespace

Runner::Runner(Plan plan, KvCache cache, int threads)
    : plan_(std::move(plan)), cache_(std::move(cache)), pool_(threads), arena_(static_cast<size_t>(plan_.arena_bytes)) {
  int64_t head_dim = 0, silu_width = 0;
  for (const Step& step : plan_.steps) {
    if (const auto* attention = std::get_if<AttentionStep>(&step.work)) {
      head_dim = std::max(head_dim, attention->head_dim);
    } else if (const auto* silu = std::get_if<SiluStep>(&step.work)) {
      silu_width = std::max(silu_width, buffer(silu->in).width);
    }
  }
  scratch_floats_ = (kernels::attention_scratch_floats(head_dim) + 15) / 16 * 16;
  scratch_ = ZeroedMemory(static_cast<size_t>(scratch_floats_ * pool_.threads()) * sizeof(float));
  dequantized_ = ZeroedMemory(static_cast<size_t>(plan_.scratch_bytes * pool_.threads()));
  ones_.assign(static_cast<size_t>(silu_width), 1.0f);
}

void Runner::run(size_t first_step, size_t last_step, int64_t first_row, int64_t rows) {
  for (size_t i = first_step; i < last_step; ++i) {
    first_row_ = first_row / plan_.steps[i].merged;
    rows_ = rows / plan_.steps[i].merged;
    const auto start = std::chrono::steady_clock::now();
    std::visit([this](const auto& work) { run_step(work); }, plan_.steps[i].work);
    if (profile_) {
      profile_->add(plan_.steps[i], std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    if (!probe_) continue;
    for (const auto& [value, id] : plan_.steps[i].makes) show(value, id);
  }
  first_row_ = first_row;
  rows_ = rows;
}

void* Runner::data(BufferId id, int64_t row) const { return bytes(id, buffer(id).per_slice ? row : first_row_ + row); }

std::byte* Runner::bytes(BufferId id, int64_t index) const {
  const Buffer& b = buffer(id);
  return arena_.data() + b.offset + index * b.width * static_cast<int64_t>(dtype_size(b.dtype));
}

void Runner::show(ir::ValueId value, BufferId id) {
  const int64_t width = buffer(id).width;
  if (buffer(id).dtype == DType::f32) {
    probe_(value, first_row_, rows_, width, floats(id, 0));
    return;
  }
  shown_.resize(static_cast<size_t>(rows_ * width));
  parallel(rows_, 1, rows_ * width, [&](int64_t first, int64_t last) {
    to_float(DType::bf16, static_cast<const std::byte*>(data(id, first)), (last - first) * width,
             shown_.data() + first * width);
  });
  probe_(value, first_row_, rows_, width, shown_.data());
}

template <typename Work>
void Runner::parallel(int64_t count, int64_t grain, int64_t cost, const Work& work) {
  const auto run = [&](int64_t first, int64_t last, int thread) {
    if constexpr (std::is_invocable_v<Work, int64_t, int64_t, int>) {
      work(first, last, thread);
    } else {
      work(first, last);
    }
  };
  if (pool_.threads() == 1 || cost < kParallelWork) return run(0, count, 0);
  pool_.run([&](int index) {
    const ThreadPool::Range range = ThreadPool::split(count, grain, index, pool_.threads());
    if (range.first < range.last) run(range.first, range.last, index);
  });
}

// Columns of a matrix by which `rows_` rows are multiplied. Many rows: columns are dealt out, because cores differ in
// speed, and the faster one would wait for the slower one's.
template <typename Work>
void Runner::share_columns(int64_t count, int64_t cost, const Work& work) {
  if (pool_.threads() == 1 || rows_ < kDealtRows || cost < kParallelWork) {
    return parallel(count, kColumnGrain, cost, work);
  }
  deal((count + kDealtColumns - 1) / kDealtColumns, [&](int64_t item, int thread) {
    work(item * kDealtColumns, std::min((item + 1) * kDealtColumns, count), thread);
  });
}

template <typename Work>
void Runner::deal(int64_t count, const Work& work) {
  std::atomic<int64_t> next{0};
  pool_.run([&](int thread) {
    for (int64_t item = next++; item < count; item = next++) work(item, thread);
  });
}

// ---- one function per step

void Runner::run_step(const InputStep& s) {
  const int64_t width = buffer(s.out).width;
  std::memcpy(floats(s.out, 0), input<float>(s.input, 0, width), static_cast<size_t>(rows_ * width) * sizeof(float));
}

void Runner::run_step(const EmbedStep& s) {
  const Buffer& out = buffer(s.out);
  const auto* dense = std::get_if<Dense>(&s.weight.format);
  for (int64_t r = 0; r < rows_; ++r) {
    const int64_t id = *input<int64_t>(s.ids, r, 1);
    if (dense == nullptr) {
      s.weight.row_to_float(id, floats(s.out, r));
      continue;
    }
    const auto row_bytes = static_cast<int64_t>(dtype_size(dense->dtype)) * out.width;
    plan_.rows->to_float(dense->data + id * row_bytes, dense->dtype, floats(s.out, r), out.width);
  }
}

void Runner::run_step(const BlendRowsStep& s) {
  const int64_t width = buffer(s.out).width;
  parallel(rows_, 1, rows_ * width * s.count, [&](int64_t first, int64_t last) {
    std::vector<float> row(static_cast<size_t>(width));
    for (int64_t r = first; r < last; ++r) {
      float* out = floats(s.out, r);
      std::fill_n(out, width, 0.0f);
      for (int64_t i = 0; i < s.count; ++i) {
        const float share = floats(s.shares, r)[i];
        s.weight.row_to_float(input<int64_t>(s.ids, r, s.count)[i], row.data());
        for (int64_t c = 0; c < width; ++c) out[c] += share * row[static_cast<size_t>(c)];
      }
    }
  });
}

void Runner::run_step(const PutRowsStep& s) {
  const int64_t width = buffer(s.out).width;
  for (int64_t r = 0; r < rows_; ++r) {
    const BufferId from = *input<int64_t>(s.mask, r, 1) != 0 ? s.rows : s.x;
    std::memcpy(floats(s.out, r), floats(from, r), static_cast<size_t>(width) * sizeof(float));
  }
}

void Runner::run_step(const AnglesStep& s) {
  const auto axes = static_cast<size_t>(s.axes);
  for (int64_t r = 0; r < rows_; ++r) {
    fill_angles(s.frequencies, {input<int64_t>(s.positions, r, s.axes), axes}, floats(s.out, r));
  }
}

void Runner::run_step(const NormStep& s) {
  const Buffer &in = buffer(s.in), &out = buffer(s.out);
  const auto n = static_cast<int64_t>(s.weight.size());
  parallel(rows_, 1, rows_ * in.width, [&](int64_t first, int64_t last) {
    plan_.rows->rms_norm({.x = floats(s.in, first),
                          .x_stride = in.width,
                          .rows = last - first,
                          .groups = in.width / n,
                          .n = n,
                          .weight = s.weight.data(),
                          .eps = s.eps,
                          .out = data(s.out, first),
                          .out_dtype = out.dtype,
                          .out_stride = out.width});
  });
}

void Runner::run_step(const LayerNormStep& s) {
  const Buffer &in = buffer(s.in), &out = buffer(s.out);
  parallel(rows_, 1, rows_ * in.width, [&](int64_t first, int64_t last) {
    plan_.rows->layer_norm({.x = floats(s.in, first),
                            .x_stride = in.width,
                            .rows = last - first,
                            .n = in.width,
                            .weight = s.weight.data(),
                            .bias = s.bias.data(),
                            .eps = s.eps,
                            .out = data(s.out, first),
                            .out_dtype = out.dtype,
                            .out_stride = out.width});
  });
}

void Runner::run_step(const RoundInputStep& s) {
  const int64_t k = buffer(s.in).width;
  parallel(rows_, 1, rows_ * k, [&](int64_t first, int64_t last) {
    s.kernel->round_input({.x = floats(s.in, first),
                           .x_stride = k,
                           .rows = last - first,
                           .k = k,
                           .scheme = s.scheme,
                           .codes = static_cast<int8_t*>(data(s.codes, first)),
                           .scales = floats(s.scales, first)});
  });
}

// Columns [first, last) of the part's output.
void Runner::run_part(const LinearPart& part, int64_t first, int64_t last, bool accumulate, int thread) const {
  struct Run {
    const Runner& runner;
    const LinearPart& part;
    int64_t first, last;
    bool accumulate;
    int thread;
    void operator()(const DenseProduct& p) const {
      const auto& dense = std::get<Dense>(part.weight.format);
      runner.multiply(p.kernels, runner.linear_args(part, dense.data, dense.dtype, first, last, 0, accumulate));
    }
    void operator()(const DequantizedProduct& p) const {
      const DType dtype = runner.buffer(part.in).dtype;
      if (p.direct_row && runner.rows_ == 1) {
        p.kernels.any_rows->row(runner.linear_args(part, nullptr, dtype, first, last, 0, accumulate),
                                kernels::code_groups(part.weight));
        return;
      }
      std::byte* rows = runner.dequantized_.data() + thread * runner.plan_.scratch_bytes;
      const int64_t step = dequantized_rows(runner.rows_, part.weight.columns());
      for (int64_t n = first; n < last; n += step) {
        const int64_t end = std::min(n + step, last);
        p.dequantize->run({.weight = &part.weight, .first = n, .last = end, .out = rows, .out_dtype = dtype});
        runner.multiply(p.kernels, runner.linear_args(part, rows, dtype, n, end, n, accumulate));
      }
    }
    void operator()(const Int8Product& p) const { runner.multiply_int8(part, p, first, last, accumulate); }
  };
  std::visit(Run{*this, part, first, last, accumulate, thread}, part.product);
}

void Runner::run_rows(const LinearPart& part, int64_t first, int64_t last, bool accumulate) const {
  const auto& dense = std::get<Dense>(part.weight.format);
  kernels::LinearArgs args = linear_args(part, dense.data, dense.dtype, 0, part.weight.rows(), 0, accumulate);
  args.x = data(part.in, first);
  args.y = floats(part.out, first);
  args.rows = last - first;
  multiply(std::get<DenseProduct>(part.product).kernels, args);
}

// The step's rows decide, not those of one call: its parts must not differ.
void Runner::multiply(const FloatKernels& kernels, const kernels::LinearArgs& args) const {
  if (kernels.many_rows != nullptr && rows_ >= kernels::kInt16Rows) return kernels.many_rows->run(args);
  kernels.any_rows->run(args);
}

// `w` holds the weight's rows from `origin` on.
kernels::LinearArgs Runner::linear_args(const LinearPart& part, const std::byte* w, DType w_dtype, int64_t first,
                                        int64_t last, int64_t origin, bool accumulate) const {
  const Buffer& x = buffer(part.in);
  return {.x = data(part.in, 0),
          .x_dtype = x.dtype,
          .x_stride = x.width,
          .w = w,
          .w_dtype = w_dtype,
          .bias = part.bias.empty() ? nullptr : part.bias.data() + origin,
          .y = floats(part.out, 0) + origin,
          .y_stride = buffer(part.out).width,
          .rows = rows_,
          .first = first - origin,
          .last = last - origin,
          .k = x.width,
          .accumulate = accumulate};
}

void Runner::multiply_int8(const LinearPart& part, const Int8Product& product, int64_t first, int64_t last,
                           bool accumulate) const {
  const auto& format = std::get<Int8Channel>(part.weight.format);
  product.kernel->run({.x = static_cast<const int8_t*>(data(part.in, 0)),
                       .x_scales = floats(product.x_scales, 0),
                       .x_zero_point = format.input.zero_point,
                       .w = format.codes,
                       .w_scales = product.w_scales.data(),
                       .bias = part.bias.empty() ? nullptr : part.bias.data(),
                       .y = floats(part.out, 0),
                       .y_stride = buffer(part.out).width,
                       .rows = rows_,
                       .first = first,
                       .last = last,
                       .k = buffer(part.in).width,
                       .accumulate = accumulate});
}

void Runner::run_step(const LinearStep& s) {
  int64_t columns = 0, work = 0;
  for (const LinearPart& part : s.parts) {
    columns += part.weight.rows();
    work += rows_ * part.weight.rows() * part.weight.columns();
  }
  const int64_t blocks = (rows_ + kLinearRows - 1) / kLinearRows;
  const auto dense = [](const LinearPart& part) { return std::holds_alternative<DenseProduct>(part.product); };
  if (pool_.threads() > 1 && blocks >= 4 * pool_.threads() && std::ranges::all_of(s.parts, dense)) {
    // So many rows are dealt out: cores differ in speed, and the faster one would wait for the slower one's columns.
    deal(blocks, [&](int64_t block, int) {
      const int64_t first = block * kLinearRows, last = std::min(first + kLinearRows, rows_);
      for (const LinearPart& part : s.parts) run_rows(part, first, last, s.accumulate);
    });
    return;
  }
  share_columns(columns, work, [&](int64_t first, int64_t last, int thread) {
    int64_t begin = 0;  // of the part among all columns
    for (const LinearPart& part : s.parts) {
      const int64_t n = part.weight.shape[0];
      const int64_t from = std::max(first - begin, int64_t{0}), to = std::min(last - begin, n);
      if (from < to) run_part(part, from, to, s.accumulate, thread);
      begin += n;
    }
  });
}

void Runner::run_step(const GateUpStep& s) {
  const int64_t n = s.gate.weight.shape[0];
  const Buffer& out = buffer(s.out);
  share_columns(n, 2 * rows_ * n * s.gate.weight.shape[1], [&](int64_t first, int64_t last, int thread) {
    for (int64_t from = first; from < last; from += kGateUpColumns) {
      const int64_t to = std::min(from + kGateUpColumns, last);
      run_part(s.gate, from, to, false, thread);
      run_part(s.up, from, to, false, thread);
      plan_.rows->silu_mul(
          {.gate = floats(s.gate.out, 0) + from,
           .up = floats(s.up.out, 0) + from,
           .gate_stride = n,
           .up_stride = n,
           .rows = rows_,
           .n = to - from,
           .out = static_cast<std::byte*>(data(s.out, 0)) + from * static_cast<int64_t>(dtype_size(out.dtype)),
           .out_dtype = out.dtype,
           .out_stride = out.width});
    }
  });
}

void Runner::run_step(const RopeStep& s) {
  const int64_t width = s.heads * s.head_dim;
  parallel(rows_, 1, rows_ * width, [&](int64_t first, int64_t last) {
    std::memcpy(floats(s.out, first), floats(s.in, first), static_cast<size_t>((last - first) * width) * sizeof(float));
    rotate(floats(s.out, first), width, s.angles, first, last - first, s.heads, s.head_dim);
  });
}

void Runner::rotate(float* x, int64_t stride, BufferId angles, int64_t row, int64_t rows, int64_t heads,
                    int64_t n) const {
  plan_.rows->rope({.x = x,
                    .x_stride = stride,
                    .rows = rows,
                    .heads = heads,
                    .n = n,
                    .cosines = floats(angles, row),
                    .sines = floats(angles, row) + n / 2,
                    .table_stride = n});
}

// Normalises and rotates, in place, `heads` heads of n at x for rows [row, row + rows).
void Runner::prepare(const AttentionStep& s, float* x, int64_t stride, const std::vector<float>& norm, int64_t row,
                     int64_t rows, int64_t heads) const {
  if (!norm.empty()) {
    plan_.rows->rms_norm({.x = x,
                          .x_stride = stride,
                          .rows = rows,
                          .groups = heads,
                          .n = s.head_dim,
                          .weight = norm.data(),
                          .eps = s.eps,
                          .out = x,
                          .out_dtype = DType::f32,
                          .out_stride = stride});
  }
  if (s.angles) rotate(x, stride, *s.angles, row, rows, heads, s.head_dim);
}

void Runner::run_step(const AttentionStep& s) {
  const int64_t n = s.head_dim, group = s.heads / s.kv_heads;
  const int64_t item_rows = s.causal ? kAttentionRows : kAllToAllRows;
  const int64_t blocks = (rows_ + item_rows - 1) / item_rows;
  const int64_t first_position = chunk_.position + first_row_;

  // Every key of the chunk must be stored before a query reads it: two rounds.
  const auto store = [&](int64_t item) {
    const int64_t head = item % s.kv_heads, row = item / s.kv_heads * item_rows;
    const int64_t rows = std::min(item_rows, rows_ - row);
    prepare(s, floats(s.k, row) + head * n, s.kv_heads * n, s.k_norm, row, rows, 1);
    const kernels::KvView view = cache_.view(s.cache, head);
    for (int64_t r = row; r < row + rows; ++r) {
      kernels::store_kv(view, first_position + r, floats(s.k, r) + head * n, floats(s.v, r) + head * n);
    }
  };
  // Head after head, so that keys and values of one are in the cache for all its rows.
  const auto attend = [&](int64_t item, int thread) {
    const int64_t head = item / blocks, row = item % blocks * item_rows;
    const int64_t rows = std::min(item_rows, rows_ - row);
    float* q = floats(s.q, row) + head * group * n;
    prepare(s, q, s.heads * n, s.q_norm, row, rows, group);
    const Buffer& out = buffer(s.out);
    s.kernel->run({.q = q,
                   .q_stride_row = s.heads * n,
                   .q_stride_head = n,
                   .rows = rows,
                   .heads_per_kv = group,
                   .first_position = first_position + row,
                   .scale = s.scale,
                   .kv = cache_.view(s.cache, head),
                   .out = static_cast<std::byte*>(data(s.out, row)) +
                          head * group * n * static_cast<int64_t>(dtype_size(out.dtype)),
                   .out_dtype = out.dtype,
                   .out_stride_row = out.width,
                   .out_stride_head = n,
                   .scratch = reinterpret_cast<float*>(scratch_.data()) + thread * scratch_floats_,
                   .positions = s.causal ? 0 : first_position + rows_});
  };

  const int64_t items = blocks * s.kv_heads;
  const int64_t cost = rows_ * (first_position + rows_) * s.heads * n;
  const auto round = [&](const auto& work) {
    if (cost >= kParallelWork && pool_.threads() > 1) return deal(items, work);
    for (int64_t item = 0; item < items; ++item) work(item, 0);
  };
  if (rows_ == 1) {
    // A head's only query reads what the same item has just stored.
    round([&](int64_t item, int thread) {
      store(item);
      attend(item, thread);
    });
    return;
  }
  round([&](int64_t item, int) { store(item); });
  round(attend);
}

void Runner::run_step(const AddStep& s) {
  const int64_t count = rows_ * buffer(s.out).width;
  std::memcpy(floats(s.out, 0), floats(s.a, 0), static_cast<size_t>(count) * sizeof(float));
  plan_.rows->add(floats(s.b, 0), floats(s.out, 0), count);
}

void Runner::run_step(const MulStep& s) {
  std::transform(floats(s.a, 0), floats(s.a, 0) + rows_ * buffer(s.a).width, floats(s.b, 0), floats(s.out, 0),
                 std::multiplies<>());
}

void Runner::run_step(const SiluStep& s) {
  const int64_t n = buffer(s.in).width;
  plan_.rows->silu_mul({.gate = floats(s.in, 0),
                        .up = ones_.data(),
                        .gate_stride = n,
                        .up_stride = 0,
                        .rows = rows_,
                        .n = n,
                        .out = data(s.out, 0),
                        .out_dtype = DType::f32,
                        .out_stride = n});
}

void Runner::run_step(const GeluStep& s) {
  const int64_t width = buffer(s.in).width;
  parallel(rows_, 1, 8 * rows_ * width, [&](int64_t first, int64_t last) {
    plan_.rows->gelu({.x = floats(s.in, first),
                      .n = (last - first) * width,
                      .tanh = s.tanh,
                      .out = data(s.out, first),
                      .out_dtype = buffer(s.out).dtype});
  });
}

void Runner::run_step(const SliceStep& s) {
  const int64_t width = buffer(s.out).width;
  for (int64_t r = 0; r < rows_; ++r) {
    std::memcpy(floats(s.out, r), floats(s.in, r) + s.first, static_cast<size_t>(width) * sizeof(float));
  }
}

void Runner::run_step(const MergeRowsStep& s) {
  std::memcpy(floats(s.out, 0), bytes(s.in, first_row_ * buffer(s.out).merged / buffer(s.in).merged),
              static_cast<size_t>(rows_ * buffer(s.out).width) * sizeof(float));
}

void Runner::run_step(const CastStep& s) {
  const int64_t width = buffer(s.in).width;
  parallel(rows_, 1, rows_ * width, [&](int64_t first, int64_t last) {
    plan_.rows->to_bf16(floats(s.in, first), static_cast<uint16_t*>(data(s.out, first)), (last - first) * width);
  });
}

}  // namespace duan::engine
