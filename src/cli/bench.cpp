#include "bench/bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "base/cpu.h"
#include "base/error.h"
#include "base/json.h"
#include "cli/bench_generation.h"
#include "cli/commands.h"
#include "cli/opened_model.h"
#include "cli/progress.h"
#include "engine/memory.h"

namespace duan::cli {
namespace {

struct BenchOptions {
  ModelOptions model;
  std::vector<int64_t> prefill{32, 512}, decode{64}, depth{16, 1024};
  std::vector<int> threads;  // empty: one per processor
  int repetitions = 3;
  bool json = false;
};

struct Row {
  std::string test;
  int threads;
  std::string compute;
  bench::Spread rate;  // tokens per second
  struct Bandwidth {
    double used, probed;  // bytes per second
  };
  std::optional<Bandwidth> bandwidth;  // of decode
};

// Zeros switch tests off. Lists that the user did not give lose what the model cannot hold; what a flag asked for stays
// and is refused when the engine is made.
void choose_tests(BenchOptions& options, int64_t positions, bool prefill_given, bool decode_given) {
  std::erase(options.prefill, 0);
  std::erase(options.decode, 0);
  if (!prefill_given) std::erase_if(options.prefill, [&](int64_t n) { return n > positions; });
  if (!decode_given) {
    const int64_t most = options.decode.empty() ? 0 : *std::max_element(options.decode.begin(), options.decode.end());
    std::erase_if(options.depth, [&](int64_t n) { return n + most > positions; });
  }
  if (options.prefill.empty() && (options.decode.empty() || options.depth.empty())) {
    throw Error(fmt::format("nothing is left to measure in {} positions", positions), "bench",
                "name lengths with -p, or -n and -d");
  }
}

int64_t longest(const BenchOptions& options) {
  int64_t positions = 1;
  for (const int64_t n : options.prefill) positions = std::max(positions, n);
  for (const int64_t n : options.decode) {
    for (const int64_t d : options.depth) positions = std::max(positions, d + n);
  }
  return positions;
}

void print_table(const std::vector<Row>& rows) {
  fmt::print("| test | threads | compute | tok/s | min - max | GB/s | of read bandwidth |\n");
  fmt::print("|---|---:|---|---:|---:|---:|---:|\n");
  for (const Row& row : rows) {
    fmt::print("| {} | {} | {} | {:.2f} | {:.2f} - {:.2f} |", row.test, row.threads, row.compute, row.rate.median,
               row.rate.min, row.rate.max);
    if (row.bandwidth) {
      fmt::print(" {:.1f} | {:.0f} % of {:.1f} |\n", row.bandwidth->used * 1e-9,
                 100 * row.bandwidth->used / row.bandwidth->probed, row.bandwidth->probed * 1e-9);
    } else {
      fmt::print(" | |\n");
    }
  }
}

Json to_json(const Row& row) {
  Json json = {{"test", row.test},       {"threads", row.threads},
               {"compute", row.compute}, {"tokens_per_second", row.rate.median},
               {"min", row.rate.min},    {"max", row.rate.max}};
  if (row.bandwidth) {
    json["bytes_per_second"] = row.bandwidth->used;
    json["read_bandwidth"] = row.bandwidth->probed;
  }
  return json;
}

void bench_model(BenchOptions options, bool prefill_given, bool decode_given) {
  using Clock = std::chrono::steady_clock;
  if (options.threads.empty()) options.threads = {cpu_count()};

  auto start = Clock::now();
  const OpenedModel model(options.model);
  const auto opening = Clock::now() - start;
  choose_tests(options, model.positions(), prefill_given, decode_given);
  // What an ONNX graph reads for a token cannot be told from the file: rows of an embedding, or all of it.
  std::optional<bench::BandwidthProbe> probe;
  if (model.checkpoint() != nullptr && !options.decode.empty() && !options.depth.empty()) probe.emplace();
  const int64_t probe_bytes = probe ? probe->bytes() : 0;
  start = Clock::now() - opening;  // making the probe is no part of loading
  const int64_t vocab = model.vocab_size();
  options.model.context = longest(options);

  double load_seconds = 0;
  engine::MemoryUse memory;
  std::vector<Row> rows;
  const size_t tests = options.prefill.size() + options.decode.size() * options.depth.size();
  Progress progress("bench", static_cast<int64_t>(tests * options.threads.size()), "tests");
  for (const int threads : options.threads) {
    options.model.threads = threads;
    const auto engine = model.make_engine(options.model);
    if (load_seconds == 0) load_seconds = std::chrono::duration<double>(Clock::now() - start).count();
    memory = engine->memory();
    const std::string compute = compute_name(engine->compute());
    for (const int64_t tokens : options.prefill) {
      rows.push_back({fmt::format("prefill {}", tokens), threads, compute,
                      bench::prefill_rate(*engine, vocab, tokens, options.repetitions), std::nullopt});
      progress.update(static_cast<int64_t>(rows.size()));
    }
    for (const int64_t depth : options.depth) {
      for (const int64_t tokens : options.decode) {
        const bench::Spread rate = bench::decode_rate(*engine, vocab, depth, tokens, options.repetitions);
        rows.push_back({fmt::format("decode {} at {}", tokens, depth), threads, compute, rate, std::nullopt});
        if (probe) {
          const int64_t bytes = bench::bytes_per_token(model.checkpoint()->graph, model.checkpoint()->checkpoint,
                                                       *engine, depth + tokens / 2);
          rows.back().bandwidth = {static_cast<double>(bytes) * rate.median, probe->measure(threads)};
        }
        progress.update(static_cast<int64_t>(rows.size()));
      }
    }
  }
  progress.finish();

  const int64_t peak = engine::peak_resident() - probe_bytes;
  if (options.json) {
    Json list = Json::array();
    for (const Row& row : rows) list.push_back(to_json(row));
    Json json = {{"model", options.model.model}, {"engine", model.engine()},    {"processor", cpu_model_name()},
                 {"load_seconds", load_seconds}, {"peak_resident_bytes", peak}, {"weight_bytes", memory.weight_bytes},
                 {"kv_bytes", memory.kv_bytes}};
    // ONNX Runtime does not tell its own.
    if (model.checkpoint() != nullptr) json["activation_bytes"] = memory.activation_bytes;
    json["probe_bytes"] = probe_bytes;
    json["repetitions"] = options.repetitions;
    json["tests"] = std::move(list);
    fmt::print("{}\n", to_text(json));
    return;
  }
  print_table(rows);
  const std::string buffers = model.checkpoint() != nullptr
                                  ? fmt::format(", buffers {:.0f}", static_cast<double>(memory.activation_bytes) * 1e-6)
                                  : "";
  fmt::print(
      "\n{} ({}); {}, loaded in {:.3f} s; peak memory {:.0f} MB: weights {:.0f}, KV cache for {} positions {:.0f}{}\n",
      options.model.model, model.engine(), cpu_model_name().empty() ? "unknown processor" : cpu_model_name(),
      load_seconds, static_cast<double>(peak) * 1e-6, static_cast<double>(memory.weight_bytes) * 1e-6,
      options.model.context, static_cast<double>(memory.kv_bytes) * 1e-6, buffers);
}

}  // namespace

void add_bench(CLI::App& app) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* command = app.add_subcommand("bench", "Measure how fast a model runs here");
  add_model_argument(*command, options->model);
  CLI::Option* prefill = command->add_option("-p,--prefill", options->prefill, "Prompt lengths to measure (0: none)")
                             ->delimiter(',')
                             ->allow_extra_args(false)
                             ->check(CLI::Range(int64_t{0}, int64_t{1} << 30))
                             ->capture_default_str();
  CLI::Option* decode = command->add_option("-n,--decode", options->decode, "Tokens to generate one by one (0: none)")
                            ->delimiter(',')
                            ->allow_extra_args(false)
                            ->check(CLI::Range(int64_t{0}, int64_t{1} << 30))
                            ->capture_default_str();
  CLI::Option* depth = command->add_option("-d,--depth", options->depth, "Tokens in the cache before the first of them")
                           ->delimiter(',')
                           ->allow_extra_args(false)
                           ->check(CLI::Range(int64_t{0}, int64_t{1} << 30))
                           ->capture_default_str();
  command->add_option("-t,--threads", options->threads, "Threads (default: one per processor)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(1, 1024));
  CLI::Option* repetitions =
      command->add_option("-r,--repetitions", options->repetitions, "Measured runs of each test, after one to warm up")
          ->check(CLI::Range(1, 1000))
          ->capture_default_str();
  add_engine_choice(*command, "--engine", options->model.engine, "What runs the model");
  command->add_option("--compute", options->model.compute, "Precision of activations in matrix products")
      ->check(CLI::IsMember({"auto", "fp32", "int16", "bf16"}))
      ->capture_default_str();
  command->add_option("--kv-dtype", options->model.kv_dtype, "Precision of the KV cache")
      ->check(CLI::IsMember({"auto", "f32", "bf16"}))
      ->capture_default_str();
  command->add_option("-b,--chunk,--batch-size", options->model.chunk, "Prompt tokens computed at once")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_flag("--json", options->json, "One JSON object");
  auto generation = std::make_shared<GenerationBench>();
  const std::vector<CLI::Option*> generates = add_generation_bench(*command, *generation);
  for (CLI::Option* option : generates) option->excludes(prefill, decode, depth);
  command->footer(
      "Random ids, no sampling. GB/s: bytes of weights and cache that a token needs, times tok/s; beside it what a\n"
      "plain read loop reached on this machine right after.\n"
      "With --generate, --no-kv-cache or --plot: one answer, token by token, in windows of 20 tokens; once, or the\n"
      "median of -r times.\n"
      "Examples: duan bench demo -p 32,512 -n 64 -d 16,1024 -t 1,2\n"
      "          duan bench demo --generate 300 --no-kv-cache --plot speed.svg");
  command->callback([=] {
    if (std::any_of(generates.begin(), generates.end(), [](CLI::Option* option) { return option->count() > 0; })) {
      generation->model = options->model;
      generation->json = options->json;
      if (repetitions->count() > 0) generation->repetitions = options->repetitions;
      if (options->threads.size() > 1) throw CLI::ValidationError("--threads", "takes one number with --generate");
      if (!options->threads.empty()) generation->model.threads = options->threads[0];
      bench_generation(*generation);
    } else {
      bench_model(*options, prefill->count() > 0, decode->count() > 0 || depth->count() > 0);
    }
  });
}

}  // namespace duan::cli
