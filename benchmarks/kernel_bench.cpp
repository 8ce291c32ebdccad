// Measures the kernels on the shapes of Qwen3-1.7B beside what the machine can do.
//
//   kernel_bench [--threads 2] [--only linear] [--runs 5] [--json]
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <random>

#include "base/cpu.h"
#include "base/error.h"
#include "base/json.h"
#include "benchmarks/machine.h"
#include "kernels/attention.h"
#include "kernels/dequantize.h"
#include "kernels/linear.h"
#include "kernels/linear_int16.h"
#include "kernels/linear_int8.h"
#include "kernels/rows.h"

namespace duan::bench {
namespace {

using kernels::AttentionArgs;
using kernels::AttentionKernel;
using kernels::LinearArgs;
using kernels::LinearKernel;

struct Options {
  int threads = cpu_count();
  int runs = 5;
  std::string only;
  bool json = false;
  bool slow = false;
};

struct Machine {
  Peaks peaks;
  double bandwidth;
};

// One line of the table: a figure and the limit it is to be compared with.
class Report {
 public:
  explicit Report(const Options& options) : options_(options) {}

  void add(const std::string& operation, const std::string& kernel, const std::string& shape, double seconds,
           double work, std::string_view unit, double limit) {
    const double rate = work / seconds / 1e9, percent = limit > 0 ? 100 * work / seconds / limit : 0;
    if (options_.json) {
      lines_.push_back({{"operation", operation},
                        {"kernel", kernel},
                        {"shape", shape},
                        {"seconds", seconds},
                        {"rate", rate},
                        {"unit", unit},
                        {"percent_of_limit", percent}});
      return;
    }
    fmt::print("{:<11} {:<12} {:<34} {:>10.1f} us {:>9.1f} {:<7} {:>5.1f} %\n", operation, kernel, shape, seconds * 1e6,
               rate, unit, percent);
    std::fflush(stdout);
  }

  void finish(const Machine& machine) const {
    if (!options_.json) return;
    const Json whole = {{"processor", cpu_model_name()},
                        {"threads", options_.threads},
                        {"fp32_flops", machine.peaks.fp32},
                        {"bf16_flops", machine.peaks.bf16},
                        {"int8_ops", machine.peaks.int8},
                        {"read_bytes_per_second", machine.bandwidth},
                        {"results", lines_}};
    fmt::print("{}\n", whole.dump(2));
  }

 private:
  Options options_;
  Json lines_ = Json::array();
};

std::vector<std::byte> random_elements(int64_t count, DType dtype) {
  std::vector<std::byte> bytes(static_cast<size_t>(count) * dtype_size(dtype));
  std::minstd_rand random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> period(4099);  // prime, so that no row equals another
  for (float& value : period) value = uniform(random);
  for (int64_t i = 0; i < count; ++i) {
    const float value = period[static_cast<size_t>(i) % period.size()];
    const uint16_t half = dtype == DType::f16 ? float_to_f16(value) : float_to_bf16(value);
    if (dtype == DType::f32) {
      std::memcpy(bytes.data() + i * 4, &value, 4);
    } else {
      std::memcpy(bytes.data() + i * 2, &half, 2);
    }
  }
  return bytes;
}

struct LinearCase {
  DType weight, x;
  int64_t rows, k, n;
};

void measure_linear(const LinearCase& shape, ThreadPool& pool, const Machine& machine, const Options& options,
                    Report& report) {
  // Decode reads weights that no cache holds: as many copies as make 256 MiB, in turn.
  const int64_t weight_bytes = shape.n * shape.k * static_cast<int64_t>(dtype_size(shape.weight));
  const int64_t copies = shape.rows < 64 ? std::max<int64_t>(1, (int64_t{256} << 20) / weight_bytes) : 1;
  const std::vector<std::byte> weights = random_elements(copies * shape.n * shape.k, shape.weight);
  const std::vector<std::byte> x = random_elements(shape.rows * shape.k, shape.x);
  std::vector<float> y(static_cast<size_t>(shape.rows * shape.n));
  const auto measure = [&](const char* operation, const char* kernel, double limit, const auto& run) {
    const double seconds = best_seconds(
        [&] {
          for (int64_t copy = 0; copy < copies; ++copy) {
            pool.run([&](int index) {
              const auto [first, last] = ThreadPool::split(shape.n, 16, index, pool.threads());
              run(kernels::LinearArgs{x.data(), shape.x, shape.k, weights.data() + copy * weight_bytes, shape.weight,
                                      nullptr, y.data(), shape.n, shape.rows, first, last, shape.k, false});
            });
          }
        },
        options.runs);
    const double each = seconds / static_cast<double>(copies);
    const std::string text =
        fmt::format("{}x{}x{} {} x {}", shape.rows, shape.k, shape.n, dtype_name(shape.x), dtype_name(shape.weight));
    if (shape.rows == 1) {
      report.add(operation, kernel, text, each, static_cast<double>(weight_bytes), "GB/s", machine.bandwidth);
    } else {
      report.add(operation, kernel, text, each, 2.0 * static_cast<double>(shape.rows * shape.n * shape.k), "GFLOP/s",
                 limit);
    }
  };
  for (const LinearKernel& kernel : kernels::linear_kernels()) {
    if (!isa_allowed(kernel.needs) || !kernel.fits(shape.weight, shape.x)) continue;
    const std::string_view name = kernel.name;
    if (name == "ref" || (name == "plain" && shape.rows > 64 && !options.slow)) continue;
    measure("linear", kernel.name, kernel.needs == Isa::avx512_bf16 ? machine.peaks.bf16 : machine.peaks.fp32,
            kernel.run);
  }
  // Beside the peak of floats, whose place it takes.
  for (const kernels::LinearInt16Kernel& kernel : kernels::linear_int16_kernels()) {
    if (kernel.needs == Isa::plain || !isa_allowed(kernel.needs)) continue;
    if (shape.x != DType::f32 || shape.rows < kernels::kInt16Rows) continue;
    measure("linear_int16", kernel.name, machine.peaks.fp32, kernel.run);
  }
}

void measure_linears(ThreadPool& pool, const Machine& machine, const Options& options, Report& report) {
  constexpr DType kF32 = DType::f32, kBf16 = DType::bf16, kF16 = DType::f16;
  const std::pair<DType, DType> types[] = {{kBf16, kBf16}, {kBf16, kF32}, {kF32, kF32}, {kF16, kF32}};
  for (const auto& [weight, x] : types) {
    for (const int64_t rows : {1, 32, 512})
      measure_linear({weight, x, rows, 2048, 6144}, pool, machine, options, report);
  }
  for (const int64_t rows : {1, 512}) {
    measure_linear({kBf16, kBf16, rows, 2048, 4096}, pool, machine, options, report);  // q, k and v together
    measure_linear({kBf16, kBf16, rows, 6144, 2048}, pool, machine, options, report);  // down
  }
  measure_linear({kBf16, kBf16, 1, 2048, 151936}, pool, machine, options, report);  // the head
}

std::vector<std::byte> random_bytes(int64_t count) {
  std::vector<std::byte> bytes(static_cast<size_t>(count));
  std::minstd_rand random(2);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() >> 8);
  return bytes;
}

void measure_linear_int8(int64_t rows, int64_t k, int64_t n, ThreadPool& pool, const Machine& machine,
                         const Options& options, Report& report) {
  const int64_t copies = rows < 64 ? std::max<int64_t>(1, (int64_t{256} << 20) / (n * k)) : 1;
  const std::vector<std::byte> weights = random_bytes(copies * n * k), x = random_bytes(rows * k);
  const std::vector<float> x_scales(static_cast<size_t>(rows), 0.01f), w_scales(static_cast<size_t>(n), 0.01f);
  std::vector<float> y(static_cast<size_t>(rows * n));
  for (const kernels::LinearInt8Kernel& kernel : kernels::linear_int8_kernels()) {
    const std::string_view name = kernel.name;
    const bool slow = name == "ref" || (name == "plain" && rows > 64);
    if (!isa_allowed(kernel.needs) || (slow && !options.slow)) continue;
    const double seconds = best_seconds(
        [&] {
          for (int64_t copy = 0; copy < copies; ++copy) {
            pool.run([&](int index) {
              const auto [first, last] = ThreadPool::split(n, 4, index, pool.threads());
              kernel.run({reinterpret_cast<const int8_t*>(x.data()), x_scales.data(), 0, weights.data() + copy * n * k,
                          w_scales.data(), nullptr, y.data(), n, rows, first, last, k, false});
            });
          }
        },
        options.runs);
    const double each = seconds / static_cast<double>(copies);
    const std::string text = fmt::format("{}x{}x{} I8 x I8", rows, k, n);
    if (rows == 1) {
      report.add("linear_int8", kernel.name, text, each, static_cast<double>(n * k), "GB/s", machine.bandwidth);
    } else {
      const double limit = machine.peaks.int8;
      report.add("linear_int8", kernel.name, text, each, 2.0 * static_cast<double>(rows * n * k), "Gop/s", limit);
    }
  }
}

// One thread rounds the input of a decoded row, and of a chunk; rates count the bytes read and written.
void measure_round_input(const Options& options, Report& report) {
  constexpr int64_t kHidden = 2048;
  const std::vector<std::byte> x = random_elements(512 * kHidden, DType::f32);
  std::vector<int8_t> codes(512 * kHidden);
  std::vector<float> scales(512);
  for (const kernels::LinearInt8Kernel& kernel : kernels::linear_int8_kernels()) {
    if (!isa_allowed(kernel.needs) || (std::string_view(kernel.name) == "ref" && !options.slow)) continue;
    for (const int64_t rows : {1, 512}) {
      const double seconds = best_seconds(
          [&] {
            kernel.round_input({reinterpret_cast<const float*>(x.data()),
                                kHidden,
                                rows,
                                kHidden,
                                {InputRounding::dynamic, 0, 0},
                                codes.data(),
                                scales.data()});
          },
          options.runs * 20);
      report.add("round_input", kernel.name, fmt::format("{} rows of {}", rows, kHidden), seconds,
                 static_cast<double>(rows * kHidden * 5), "GB/s", 0);
    }
  }
}

void measure_linear_int8s(ThreadPool& pool, const Machine& machine, const Options& options, Report& report) {
  for (const int64_t rows : {1, 32, 512}) measure_linear_int8(rows, 2048, 6144, pool, machine, options, report);
  for (const int64_t rows : {1, 512}) measure_linear_int8(rows, 6144, 2048, pool, machine, options, report);
  measure_linear_int8(1, 2048, 151936, pool, machine, options, report);
  measure_round_input(options, report);
}

// Weights in few bits made plain a few rows at a time, and multiplied by one row without that. Rates count stored
// bytes.
void measure_quantized(const char* name, const WeightFormat& stored, int64_t k, int64_t n, int64_t row_bytes,
                       ThreadPool& pool, const Machine& machine, const Options& options, Report& report) {
  constexpr int64_t kRows = 16;
  const Weight weight{"w", {n, k}, stored};
  const std::vector<std::byte> x = random_elements(k, DType::f32);
  std::vector<float> out(static_cast<size_t>(kRows * k * pool.threads())), y(static_cast<size_t>(n));
  const auto measure = [&](const char* operation, const char* kernel,
                           const std::function<void(int64_t, int64_t, int)>& work) {
    const double seconds = best_seconds(
        [&] {
          pool.run([&](int index) {
            const auto [first, last] = ThreadPool::split(n, kRows, index, pool.threads());
            work(first, last, index);
          });
        },
        options.runs);
    report.add(operation, kernel, fmt::format("{}x{} {}", k, n, name), seconds, static_cast<double>(n * row_bytes),
               "GB/s", machine.bandwidth);
  };
  for (const kernels::DequantizeKernel& kernel : kernels::dequantize_kernels()) {
    if (!isa_allowed(kernel.needs) || (std::string_view(kernel.name) == "ref" && !options.slow)) continue;
    measure("dequantize", kernel.name, [&](int64_t first, int64_t last, int index) {
      for (int64_t row = first; row < last; row += kRows) {
        kernel.run({&weight, row, std::min(row + kRows, last), out.data() + index * kRows * k, DType::f32});
      }
    });
  }
  for (const LinearKernel& kernel : kernels::linear_kernels()) {
    if (!isa_allowed(kernel.needs) || kernel.row == nullptr) continue;
    measure("linear row", kernel.name, [&](int64_t first, int64_t last, int) {
      kernel.row({x.data(), DType::f32, k, nullptr, DType::f32, nullptr, y.data(), n, 1, first, last, k, false},
                 kernels::code_groups(weight));
    });
  }
}

void measure_quantizeds(ThreadPool& pool, const Machine& machine, const Options& options, Report& report) {
  constexpr int64_t kColumns = 2048, kRows = 98304, kGroup = 128;  // 100 to 200 MB: in no cache
  const std::vector<std::byte> codes = random_bytes(kRows * kColumns);
  const std::vector<std::byte> scales = random_elements(kRows * kColumns / kGroup, DType::bf16);
  const Dense dense{DType::bf16, scales.data()};
  const int64_t int4_bytes = kColumns / 2 + kColumns / kGroup * 2;
  measure_quantized("int4 in groups of 128", IntGroup{4, kGroup, codes.data(), dense, nullptr}, kColumns, kRows,
                    int4_bytes, pool, machine, options, report);
  measure_quantized("int4, asymmetric", IntGroup{4, kGroup, codes.data(), dense, codes.data()}, kColumns, kRows,
                    int4_bytes + kColumns / kGroup / 2, pool, machine, options, report);
  measure_quantized("int8 per channel", Int8Channel{codes.data(), dense, {}}, kColumns, kRows, kColumns + 2, pool,
                    machine, options, report);
}

struct Heads {
  int64_t kv, per_kv, dim;
};
constexpr Heads kTextHeads = {8, 2, 128};    // of Qwen3-1.7B
constexpr Heads kVisionHeads = {16, 1, 64};  // of the tower of Qwen3-VL-2B

// All heads of one layer. `seen` > 0: so many positions are seen by every row, as in a vision tower.
void measure_attention(const Heads& heads, int64_t past, int64_t rows, int64_t seen, DType cache, ThreadPool& pool,
                       const Machine& machine, const Options& options, Report& report) {
  const int64_t kv_heads = heads.kv, per_kv = heads.per_kv, head_dim = heads.dim, width = kv_heads * per_kv * head_dim;
  const int64_t positions = past + rows, capacity = (positions + 15) / 16 * 16;
  const int64_t bytes = kernels::kv_bytes(cache, capacity, head_dim);
  // Decode reads a cache that lies in memory: as many layers as make 256 MiB, in turn.
  const int64_t layers = rows == 1 ? std::max<int64_t>(1, (int64_t{256} << 20) / (bytes * 2 * kv_heads)) : 1;
  std::vector<std::byte> keys = random_elements(layers * kv_heads * capacity * head_dim, cache), values = keys;
  const std::vector<std::byte> q = random_elements(rows * width, DType::f32);
  std::vector<float> out(static_cast<size_t>(rows * width));
  const int64_t scratch_floats = kernels::attention_scratch_floats(head_dim);
  struct alignas(64) Line {
    float values[16];
  };
  std::vector<Line> scratch(static_cast<size_t>(scratch_floats * pool.threads() / 16));
  for (const AttentionKernel& kernel : kernels::attention_kernels()) {
    const bool slow = std::string_view(kernel.name) == "ref" || (std::string_view(kernel.name) == "plain" && rows > 1);
    if (!isa_allowed(kernel.needs) || !kernel.fits(cache, head_dim, seen == 0) || (slow && !options.slow)) continue;
    const double seconds = best_seconds(
        [&] {
          for (int64_t layer = 0; layer < layers; ++layer) {
            pool.run([&](int index) {
              const auto [first, last] = ThreadPool::split(kv_heads, 1, index, pool.threads());
              for (int64_t head = first; head < last; ++head) {
                const int64_t at = (layer * kv_heads + head) * bytes, column = head * per_kv * head_dim;
                kernel.run({reinterpret_cast<const float*>(q.data()) + column,
                            width,
                            head_dim,
                            rows,
                            per_kv,
                            past,
                            0.088f,
                            {cache, keys.data() + at, values.data() + at, capacity, head_dim},
                            out.data() + column,
                            DType::f32,
                            width,
                            head_dim,
                            scratch.data()->values + index * scratch_floats,
                            seen});
              }
            });
          }
        },
        options.runs);
    const double each = seconds / static_cast<double>(layers);
    const std::string text = fmt::format("{} rows {} {}, {} cache", rows, seen > 0 ? "of" : "after",
                                         seen > 0 ? seen : past, dtype_name(cache));
    if (rows == 1) {
      report.add("attention", kernel.name, text, each,
                 static_cast<double>(positions * head_dim * kv_heads * 2) * static_cast<double>(dtype_size(cache)),
                 "GB/s", machine.bandwidth);
    } else {
      // Scores and weighted values: 4 operations per component of each visible pair.
      const double pairs =
          static_cast<double>(rows) *
          (seen > 0 ? static_cast<double>(seen) : static_cast<double>(past) + static_cast<double>(rows + 1) / 2);
      const bool in_pairs = kernel.needs == Isa::avx512_bf16;
      report.add("attention", kernel.name, text, each, 4 * pairs * static_cast<double>(width), "GFLOP/s",
                 in_pairs ? machine.peaks.bf16 : machine.peaks.fp32);
    }
  }
}

void measure_attentions(ThreadPool& pool, const Machine& machine, const Options& options, Report& report) {
  for (const DType cache : {DType::bf16, DType::f32}) {
    const auto measure = [&](const Heads& heads, int64_t past, int64_t rows, int64_t seen) {
      measure_attention(heads, past, rows, seen, cache, pool, machine, options, report);
    };
    measure(kTextHeads, 0, 512, 0);
    measure(kTextHeads, 3584, 512, 0);
    for (const int64_t past : {511, 4095, 16383}) measure(kTextHeads, past, 1, 0);
    measure(kVisionHeads, 3584, 512, 4096);
  }
}

// One thread; a decoded row, and a chunk of 512. Rates count the bytes read and written.
void measure_rows(const Options& options, Report& report) {
  constexpr int64_t kHidden = 2048, kIntermediate = 6144, kHeads = 16, kHeadDim = 128;
  const std::vector<std::byte> x = random_elements(512 * kIntermediate, DType::f32);
  const float* floats = reinterpret_cast<const float*>(x.data());
  std::vector<float> out(512 * kIntermediate);
  for (const kernels::RowsKernel& kernel : kernels::rows_kernels()) {
    if (!isa_allowed(kernel.needs) || (std::string_view(kernel.name) == "ref" && !options.slow)) continue;
    for (const int64_t rows : {1, 512}) {
      const auto add = [&](const char* name, double bytes, const std::function<void()>& work) {
        report.add(name, kernel.name, fmt::format("{} rows", rows), best_seconds(work, options.runs * 20),
                   bytes * static_cast<double>(rows), "GB/s", 0);
      };
      add("rms_norm", kHidden * 6, [&] {
        kernel.rms_norm({floats, kHidden, rows, 1, kHidden, floats, 1e-6f, out.data(), DType::bf16, kHidden});
      });
      add("head norm", kHidden * 8, [&] {
        kernel.rms_norm({floats, kHidden, rows, kHeads, kHeadDim, floats, 1e-6f, out.data(), DType::f32, kHidden});
      });
      add("rope", kHidden * 8, [&] {
        kernel.rope({out.data(), kHidden, rows, kHeads, kHeadDim, floats, floats, kHeadDim / 2});
      });
      add("silu_mul", kIntermediate * 10, [&] {
        kernel.silu_mul({floats, floats, kIntermediate, kIntermediate, rows, kIntermediate, out.data(), DType::bf16,
                         kIntermediate});
      });
      add("add", kHidden * 12, [&] { kernel.add(floats, out.data(), rows * kHidden); });
    }
  }
}

}  // namespace
}  // namespace duan::bench

int main(int argc, char** argv) {
  using namespace duan;
  using namespace duan::bench;
  Options options;
  CLI::App app{"Measures the kernels on the shapes of Qwen3-1.7B beside what the machine can do."};
  app.add_option("--threads", options.threads, "threads")->check(CLI::Range(1, 1024));
  app.add_option("--runs", options.runs, "runs per figure; the best counts")->check(CLI::Range(1, 1000));
  app.add_option("--only", options.only, "machine | linear | linear_int8 | dequantize | attention | rows");
  app.add_flag("--slow", options.slow, "also the portable kernels at 512 rows");
  app.add_flag("--json", options.json, "print JSON");
  CLI11_PARSE(app, argc, argv);
  try {
    ThreadPool pool(options.threads);
    const Machine machine = {register_peaks(pool), read_bandwidth(pool)};
    if (!options.json) {
      fmt::print("{}, {} threads: fp32 {:.0f} GFLOP/s, bf16 {:.0f} GFLOP/s, int8 {:.0f} Gop/s, read {:.1f} GB/s\n",
                 cpu_model_name(), options.threads, machine.peaks.fp32 / 1e9, machine.peaks.bf16 / 1e9,
                 machine.peaks.int8 / 1e9, machine.bandwidth / 1e9);
    }
    Report report(options);
    const auto wanted = [&](std::string_view name) { return options.only.empty() || options.only == name; };
    if (wanted("linear")) measure_linears(pool, machine, options, report);
    if (wanted("linear_int8")) measure_linear_int8s(pool, machine, options, report);
    if (wanted("dequantize")) measure_quantizeds(pool, machine, options, report);
    if (wanted("attention")) measure_attentions(pool, machine, options, report);
    if (wanted("rows")) measure_rows(options, report);
    report.finish(machine);
  } catch (const Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
  return 0;
}
