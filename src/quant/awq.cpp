#include "quant/awq.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "ir/subgraph.h"
#include "quant/module_writer.h"
#include "quant/parts.h"

namespace duan::quant {
namespace {

constexpr int kGrid = 20;             // candidates
constexpr double kLeastScale = 1e-4;  // before they are centred

// Rows that need no sequence are run this many at a time: enough for the kernels, little beside the weights.
constexpr int64_t kPieceRows = 256;
constexpr size_t kLeastSamples = 4;  // unless they are long

engine::Options options_for(const Sequences& rows, int threads, engine::Compute compute) {
  engine::Options options;
  options.threads = threads;
  options.compute = compute;
  options.context = *std::max_element(rows.lengths.begin(), rows.lengths.end());
  return options;
}

// Calls visit(input, output) for each sequence until it returns false.
template <typename Visit>
void run_each(engine::Segment& segment, const Sequences& in, std::span<float> out, const Visit& visit) {
  size_t from = 0, to = 0, number = 0;
  for (const int64_t length : in.lengths) {
    const engine::SequenceImages* images = in.images.empty() ? nullptr : in.images[number++];
    const size_t taken = static_cast<size_t>(length * in.width), made = static_cast<size_t>(length * segment.width());
    segment.run(std::span(in.values).subspan(from, taken), out.subspan(to, made), images);
    if (!visit(to, made)) return;
    from += taken;
    to += made;
  }
}

}  // namespace

std::vector<AwqPoint> awq_grid(DuoScaling duo) {
  std::vector<AwqPoint> grid;
  switch (duo) {
    case DuoScaling::on:
      grid.push_back({0, false});
      for (int i = 0; i < kGrid - 1; ++i) grid.push_back({i / double{kGrid - 2}, true});
      break;
    case DuoScaling::off:
      for (int i = 0; i < kGrid; ++i) grid.push_back({i / double{kGrid - 1}, false});
      break;
    case DuoScaling::both:
      for (int i = 0; i < kGrid / 2; ++i) {
        for (const bool with : {false, true}) grid.push_back({i / double{kGrid / 2 - 1}, with});
      }
      break;
  }
  return grid;
}

std::vector<double> awq_weight_means(std::span<const SourceMatrix> matrices, int64_t group_size, ThreadPool& pool) {
  DUAN_CHECK(!matrices.empty(), "no matrices");
  const int64_t columns = matrices.front().columns(), group = group_size == 0 ? columns : group_size;
  std::vector<double> sums(static_cast<size_t>(columns), 0.0);
  std::vector<float> values;
  int64_t rows = 0;
  for (const SourceMatrix& matrix : matrices) {
    DUAN_CHECK(matrix.columns() == columns && columns % group == 0, "{} columns beside {} in groups of {}",
               matrix.columns(), columns, group);
    const int64_t piece = rows_at_once(columns);
    for (int64_t first = 0; first < matrix.rows(); first += piece) {
      const int64_t count = std::min(piece, matrix.rows() - first);
      values.resize(static_cast<size_t>(count * columns));
      for_parts(pool, count, 1, 8 * count * columns, [&](int64_t begin, int64_t end, int) {
        matrix.read(first + begin, end - begin, values.data() + begin * columns);
        for (float* w = values.data() + begin * columns; w != values.data() + end * columns; w += group) {
          float most = 0;
          for (int64_t i = 0; i < group; ++i) most = std::max(most, std::abs(w[i]));
          for (int64_t i = 0; i < group; ++i) w[i] = std::abs(w[i]) / (most + 1e-6f);
        }
      });
      // Shared out by columns: each sum goes from the first row to the last.
      for_parts(pool, columns, 16, count * columns, [&](int64_t begin, int64_t end, int) {
        for (int64_t r = 0; r < count; ++r) {
          for (int64_t c = begin; c < end; ++c)
            sums[static_cast<size_t>(c)] += values[static_cast<size_t>(r * columns + c)];
        }
      });
    }
    rows += matrix.rows();
  }
  for (double& sum : sums) sum /= static_cast<double>(rows);
  return sums;
}

std::vector<float> awq_scales(std::span<const float> x_mean, std::span<const double> w_mean, AwqPoint point) {
  DUAN_CHECK(x_mean.size() == w_mean.size() && !x_mean.empty(), "{} channels, {} columns", x_mean.size(),
             w_mean.size());
  std::vector<double> wide(x_mean.size());
  for (size_t c = 0; c < wide.size(); ++c) {
    // llm-compressor has x in fp32 and w in double.
    const double x = std::pow(x_mean[c], static_cast<float>(point.ratio));
    wide[c] = std::max(point.duo ? x / (std::pow(w_mean[c], 1 - point.ratio) + 1e-4) : x, kLeastScale);
  }
  const auto [least, most] = std::minmax_element(wide.begin(), wide.end());
  const double middle = std::sqrt(*least * *most);
  std::vector<float> scales(wide.size());
  for (size_t c = 0; c < scales.size(); ++c) {
    const auto scale = static_cast<float>(wide[c] / middle);
    scales[c] = std::isfinite(scale) && scale > 0 ? scale : 1.0f;
  }
  return scales;
}

Sequences awq_rows(const HiddenStates& hidden, const CalibrationSet& samples, bool whole, int64_t wanted) {
  const auto width = static_cast<size_t>(hidden.width);
  const int64_t tokens = samples.tokens();
  DUAN_CHECK(tokens > 0 && hidden.values.size() == static_cast<size_t>(tokens) * width, "{} numbers of {} tokens",
             hidden.values.size(), tokens);
  const bool all = wanted == 0 || wanted >= tokens;
  Sequences rows{hidden.width, {}, {}};
  if (!whole) {
    const int64_t count = all ? tokens : wanted;
    for (int64_t i = 0; i < count; ++i) {
      // One row from each of `count` stretches, at a place of its own: the first tokens of samples, whose activations
      // are unlike the others', come as often as they do.
      const int64_t first = i * tokens / count, last = (i + 1) * tokens / count;
      const uint64_t mixed = (static_cast<uint64_t>(i) * 0x9E3779B97F4A7C15u) >> 32;
      const int64_t row = first + static_cast<int64_t>(mixed % static_cast<uint64_t>(last - first));
      const auto from = hidden.values.begin() + row * hidden.width;
      rows.values.insert(rows.values.end(), from, from + hidden.width);
      if (i % kPieceRows == 0) rows.lengths.push_back(0);
      ++rows.lengths.back();
    }
    return rows;
  }
  const size_t count = samples.samples.size();
  const auto mean = static_cast<double>(tokens) / static_cast<double>(count);
  const auto enough = static_cast<size_t>(std::ceil(static_cast<double>(wanted) / mean));
  const auto affordable = static_cast<size_t>(2 * static_cast<double>(wanted) / mean);
  const size_t taken = all ? count : std::min(count, std::max(enough, std::min(kLeastSamples, affordable)));
  int64_t begin = 0;
  size_t next = 0;
  for (size_t s = 0; s < count; ++s) {
    const auto length = static_cast<int64_t>(samples.samples[s].size());
    if (next < taken && s == next * count / taken) {
      const auto from = hidden.values.begin() + begin * hidden.width;
      rows.values.insert(rows.values.end(), from, from + length * hidden.width);
      rows.lengths.push_back(length);
      rows.images.push_back(samples.images_of(s));
      ++next;
    }
    begin += length;
  }
  return rows;
}

AwqSplit awq_split(const ir::Graph& block, const std::string& value) {
  // What follows from the value.
  std::vector<bool> follows(block.values.size(), false);
  ir::ValueId at = -1;
  for (ir::ValueId id = 0; id < static_cast<ir::ValueId>(block.values.size()); ++id) {
    if (block.value(id).name == value) at = id;
  }
  DUAN_CHECK(at >= 0 && !block.nodes.empty(), "{} is not in the block", value);
  follows[static_cast<size_t>(at)] = true;
  std::string reader;
  for (const ir::Node& node : block.nodes) {
    for (const ir::ValueId input : node.inputs) {
      if (!follows[static_cast<size_t>(input)]) continue;
      follows[static_cast<size_t>(node.output)] = true;
      if (reader.empty()) reader = node.name;
    }
  }
  // The last sum carries the residual stream on: its summand that follows is what the block adds.
  const ir::Node& last = block.nodes.back();
  ir::ValueId end = last.output;
  if (std::holds_alternative<ir::Add>(last.op)) {
    const auto follows_from = [&](size_t i) { return follows[static_cast<size_t>(last.inputs[i])]; };
    if (follows_from(0) != follows_from(1)) end = last.inputs[follows_from(0) ? 0 : 1];
  }
  const ir::Graph whole = ir::up_to(block, end);
  const auto first =
      std::find_if(whole.nodes.begin(), whole.nodes.end(), [&](const ir::Node& node) { return node.name == reader; });
  DUAN_CHECK(first != whole.nodes.end(), "nothing reads {}", value);
  return {ir::up_to(block, at), ir::subgraph(whole, static_cast<ir::NodeId>(first - whole.nodes.begin()),
                                             static_cast<ir::NodeId>(whole.nodes.size()))};
}

Sequences run_sequences(const ir::Graph& graph, const engine::WeightSource& weights, const Sequences& in, int threads,
                        engine::Compute compute) {
  engine::Segment segment(graph, weights, options_for(in, threads, compute));
  Sequences out{segment.width(), {}, in.lengths, in.images};
  out.values.resize(in.values.size() / static_cast<size_t>(in.width) * static_cast<size_t>(out.width));
  run_each(segment, in, out.values, [](size_t, size_t) { return true; });
  return out;
}

AwqTrial::AwqTrial(const ir::Graph& after, const engine::WeightSource& weights, std::vector<SourceMatrix> consumers,
                   const WeightRounding& rounding, Sequences rows, ThreadPool& pool, engine::Compute compute)
    : consumers_(std::move(consumers)),
      rounding_(rounding),
      rows_(std::move(rows)),
      pool_(pool),
      dtype_(products_in(compute)) {
  rounding_.observer = WeightObserver::minmax;
  rounding_.scale_dtype = DType::f32;
  rounding_.largest_outward = true;
  for (const SourceMatrix& matrix : consumers_) {
    const int64_t columns = matrix.columns();
    std::vector<std::byte>& values =
        matrices_.emplace_back(static_cast<size_t>(matrix.rows() * columns) * dtype_size(dtype_));
    for_parts(pool_, matrix.rows(), 1, matrix.rows() * columns, [&](int64_t begin, int64_t end, int) {
      std::vector<float> row(static_cast<size_t>(columns));
      for (int64_t r = begin; r < end; ++r) {
        matrix.read(r, 1, row.data());
        store(row, dtype_, values.data() + static_cast<size_t>(r * columns) * dtype_size(dtype_));
      }
    });
  }
  // The engine reads weights where they lie, so one plan serves all candidates.
  weights_ = [this, weights](const std::string& name, const Shape& shape) {
    for (size_t i = 0; i < consumers_.size(); ++i) {
      if (consumers_[i].name() != name) continue;
      return Weight{name, shape, Dense{dtype_, matrices_[i].data()}};
    }
    return weights(name, shape);
  };
  segment_ = std::make_unique<engine::Segment>(after, weights_, options_for(rows_, pool_.threads(), compute));
  const size_t count = rows_.values.size() / static_cast<size_t>(rows_.width);
  expected_.resize(count * static_cast<size_t>(segment_->width()));
  out_.resize(expected_.size());
  run_each(*segment_, rows_, expected_, [](size_t, size_t) { return true; });
}

AwqTrial::~AwqTrial() = default;

double AwqTrial::loss(std::span<const float> scales, double limit) {
  for (size_t i = 0; i < consumers_.size(); ++i) {
    const SourceMatrix& matrix = consumers_[i];
    const auto columns = static_cast<size_t>(matrix.columns());
    DUAN_CHECK(scales.size() == columns, "{} scales for {} columns", scales.size(), columns);
    for_parts(pool_, matrix.rows(), 1, 8 * matrix.rows() * matrix.columns(), [&](int64_t begin, int64_t end, int) {
      RoundedRow rounded;
      std::vector<float> row(columns);
      for (int64_t r = begin; r < end; ++r) {
        matrix.read(r, 1, row.data());
        for (size_t c = 0; c < columns; ++c) row[c] *= scales[c];
        round_row(row, rounding_, rounded);
        dequantize_row(rounded, rounding_, row);
        for (size_t c = 0; c < columns; ++c) row[c] /= scales[c];
        store(row, dtype_, matrices_[i].data() + static_cast<size_t>(r) * columns * dtype_size(dtype_));
      }
    });
  }
  const auto numbers = static_cast<double>(expected_.size());
  double sum = 0;
  run_each(*segment_, rows_, out_, [&](size_t at, size_t count) {
    for (size_t i = at; i < at + count; ++i) {
      const double error = out_[i] - expected_[i];
      sum += error * error;
    }
    return !(sum > limit * numbers);
  });
  return sum / numbers;
}

AwqChoice awq_search(std::span<const float> x_mean, std::span<const double> w_mean, DuoScaling duo,
                     const std::function<std::vector<float>(const std::vector<float>&)>& storable,
                     const std::function<double(std::span<const float> scales, double limit)>& loss) {
  AwqChoice choice;
  bool is_first = true;
  double least = std::numeric_limits<double>::infinity();
  for (const AwqPoint& point : awq_grid(duo)) {
    std::vector<float> scales = storable(awq_scales(x_mean, w_mean, point));
    const double found = loss(scales, least);
    if (is_first) {
      choice.loss_before = choice.loss_after = least = found;
    } else if (found < least) {
      choice = {point, std::move(scales), choice.loss_before, found};
      least = found;
    }
    is_first = false;
  }
  return choice;
}

}  // namespace duan::quant
