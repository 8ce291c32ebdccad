#include "quant/block_calibration.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/cpu.h"
#include "base/error.h"
#include "base/thread_pool.h"
#include "engine/segment.h"
#include "quant/parts.h"

namespace duan::quant {
namespace {

using ir::ValueId;

// One value being watched: each thread has its own counts.
class Watch {
 public:
  Watch(int64_t width, const std::vector<float>& divisors, int64_t row_stride, int threads,
        std::optional<DType> gram_products, bool with_ranges)
      : width_(width),
        divisors_(divisors),
        row_stride_(row_stride),
        with_ranges_(with_ranges),
        parts_(static_cast<size_t>(threads)) {
    DUAN_CHECK(divisors.empty() || static_cast<int64_t>(divisors.size()) == width, "{} divisors for {} channels",
               divisors.size(), width);
    for (Part& part : parts_) part.channel_max.assign(static_cast<size_t>(width), 0.0f);
    channel_sum_.assign(static_cast<size_t>(width), 0.0);
    square_sum_.assign(static_cast<size_t>(width), 0.0);
    if (gram_products) gram_.emplace(width, *gram_products);
  }

  // Rows [first, first + rows) of all samples together; false if a number is not finite. `weights`: of these rows;
  // empty: 1 each.
  bool add(int64_t first, int64_t rows, const float* data, ThreadPool& pool, std::span<const float> weights) {
    for_parts(pool, rows, 1, 4 * rows * width_, [&](int64_t begin, int64_t end, int thread) {
      add_rows(begin, end, data, parts_[static_cast<size_t>(thread)]);
    });
    if (!std::all_of(parts_.begin(), parts_.end(), [](const Part& part) { return part.finite; })) return false;
    // Shared out by channels: each sum goes from the first row to the last.
    for_parts(pool, width_, 16, 2 * rows * width_, [&](int64_t begin, int64_t end, int) {
      for (int64_t r = 0; r < rows; ++r) {
        const double weight = weights.empty() ? 1 : weights[static_cast<size_t>(r)];
        for (int64_t c = begin; c < end; ++c) {
          const double x = data[r * width_ + c];
          channel_sum_[static_cast<size_t>(c)] += weight * std::abs(x);
          square_sum_[static_cast<size_t>(c)] += weight * (x * x);
        }
      }
    });
    if (gram_) gram_->add(rows, data, pool, weights);
    rows_seen_ += rows;
    if (weights.empty()) weight_seen_ += static_cast<double>(rows);
    for (const float weight : weights) weight_seen_ += weight;
    const int64_t kept = (first + row_stride_ - 1) / row_stride_ * row_stride_;
    for (int64_t row = kept; row < first + rows; row += row_stride_) {
      const float* from = data + (row - first) * width_;
      const size_t at = rows_.size();
      rows_.insert(rows_.end(), from, from + width_);
      for (size_t c = 0; c < divisors_.size(); ++c) rows_[at + c] /= divisors_[c];
    }
    return true;
  }

  InputStatistics take(const std::string& name, ThreadPool& pool) {
    DUAN_CHECK(rows_seen_ > 0, "{} was not seen", name);
    InputStatistics result{std::move(parts_[0].channel_max), {}, {}, parts_[0].histogram, std::move(rows_)};
    for (size_t c = 0; c < channel_sum_.size(); ++c) {
      const double mean = channel_sum_[c] / weight_seen_;
      result.channel_mean.push_back(static_cast<float>(divisors_.empty() ? mean : mean / divisors_[c]));
      const double square = square_sum_[c] / weight_seen_, divisor = divisors_.empty() ? 1 : divisors_[c];
      result.mean_square.push_back(static_cast<float>(square / (divisor * divisor)));
    }
    if (gram_) {
      gram_->finish(pool);
      result.gram = std::move(gram_);
    }
    for (size_t i = 1; i < parts_.size(); ++i) {
      result.histogram.merge(parts_[i].histogram);
      for (size_t c = 0; c < result.channel_max.size(); ++c) {
        result.channel_max[c] = std::max(result.channel_max[c], parts_[i].channel_max[c]);
      }
    }
    return result;
  }

 private:
  struct Part {
    std::vector<float> channel_max, row;
    AbsHistogram histogram;
    bool finite = true;
  };

  void add_rows(int64_t begin, int64_t end, const float* data, Part& part) const {
    part.row.resize(static_cast<size_t>(width_));
    for (int64_t r = begin; r < end; ++r) {
      const float* x = data + r * width_;
      if (!is_finite(x)) {
        part.finite = false;
        return;
      }
      if (!with_ranges_) continue;
      std::copy_n(x, width_, part.row.begin());
      for (size_t c = 0; c < divisors_.size(); ++c) part.row[c] /= divisors_[c];
      for (size_t c = 0; c < part.row.size(); ++c) {
        part.channel_max[c] = std::max(part.channel_max[c], std::abs(part.row[c]));
      }
      part.histogram.add(part.row);
    }
  }

  bool is_finite(const float* x) const {
    constexpr int64_t kSums = 16;
    float sums[kSums] = {};  // of x - x: 0, or NaN as soon as one is not finite
    const int64_t whole = width_ / kSums * kSums;
    for (int64_t c = 0; c < whole; c += kSums) {
      for (int64_t i = 0; i < kSums; ++i) sums[i] += x[c + i] - x[c + i];
    }
    for (int64_t c = whole; c < width_; ++c) sums[0] += x[c] - x[c];
    return std::all_of(sums, sums + kSums, [](float sum) { return sum == 0; });
  }

  int64_t width_;
  const std::vector<float>& divisors_;
  int64_t row_stride_;
  bool with_ranges_;
  std::vector<Part> parts_;
  std::vector<double> channel_sum_, square_sum_;  // of |x| and x^2, not divided
  std::optional<Gram> gram_;
  std::vector<float> rows_;
  int64_t rows_seen_ = 0;
  double weight_seen_ = 0;
};

std::string readers_of(const ir::Graph& graph, ValueId value) {
  std::vector<std::string> names;
  for (const ir::Node& node : graph.nodes) {
    if (std::find(node.inputs.begin(), node.inputs.end(), value) != node.inputs.end()) names.push_back(node.name);
  }
  return names.empty() ? graph.value(value).name : fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

std::map<std::string, InputStatistics> run_block(const BlockRun& run, const HiddenStates& in, HiddenStates* out,
                                                 const Observed& observed) {
  int64_t longest = 0;
  for (const std::vector<int64_t>& sample : run.samples.samples) {
    longest = std::max(longest, static_cast<int64_t>(sample.size()));
  }
  const int threads = run.threads > 0 ? run.threads : cpu_count();
  engine::Options options;
  options.threads = threads;
  options.compute = run.compute;
  options.context = longest;
  engine::Segment segment(run.graph, run.weights, options);
  ThreadPool pool(threads);

  const int64_t tokens = run.samples.tokens(), row_stride = (tokens + kKeptRows - 1) / kKeptRows;
  std::map<ValueId, Watch> watches;
  for (ValueId id = 0; id < static_cast<ValueId>(run.graph.values.size()); ++id) {
    const auto wanted = observed.find(run.graph.value(id).name);
    if (wanted == observed.end()) continue;
    watches.emplace(
        std::piecewise_construct, std::forward_as_tuple(id),
        std::forward_as_tuple(ir::width(run.graph.value(id).type), wanted->second, row_stride, threads,
                              run.grams.contains(wanted->first) ? std::optional(sums_in(run.compute)) : std::nullopt,
                              run.ranges));
  }
  DUAN_CHECK(watches.size() == observed.size(), "{} of {} values are in the block", watches.size(), observed.size());

  const std::vector<float> token_weights = run.samples.token_weights(run.image_weight);
  int64_t done = 0;
  size_t sample_number = 0;
  segment.set_probe([&](ValueId value, int64_t, int64_t rows, int64_t, const float* data) {
    const auto watch = watches.find(value);
    if (watch == watches.end()) return;
    const std::span<const float> of_all = token_weights;
    const auto of_rows = of_all.empty() ? of_all : of_all.subspan(static_cast<size_t>(done), static_cast<size_t>(rows));
    if (watch->second.add(done, rows, data, pool, of_rows)) return;
    throw Error(fmt::format("its input is not finite in calibration sample {}", sample_number + 1),
                readers_of(run.graph, value), "a number in the weights before it may be far too large");
  });

  const bool starts_with_ids = in.width == 0;
  std::vector<float> unused;
  if (out != nullptr) {
    out->width = segment.width();
    out->values.resize(static_cast<size_t>(tokens * segment.width()));
  }
  for (const std::vector<int64_t>& sample : run.samples.samples) {
    const auto rows = static_cast<int64_t>(sample.size());
    std::span<float> result;
    if (out != nullptr) {
      result = std::span(out->values).subspan(static_cast<size_t>(done * out->width), sample.size() * out->width);
    } else {
      unused.resize(static_cast<size_t>(rows * segment.width()));
      result = unused;
    }
    const engine::SequenceImages* images = run.samples.images_of(sample_number);
    if (starts_with_ids) {
      segment.run(std::span<const int64_t>(sample), result, images);
    } else {
      segment.run(std::span(in.values).subspan(static_cast<size_t>(done * in.width), sample.size() * in.width), result,
                  images);
    }
    done += rows;
    ++sample_number;
    if (run.progress) run.progress(done);
  }
  std::map<std::string, InputStatistics> result;
  for (auto& [value, watch] : watches) {
    const std::string& name = run.graph.value(value).name;
    result.emplace(name, watch.take(name, pool));
  }
  return result;
}

}  // namespace duan::quant
