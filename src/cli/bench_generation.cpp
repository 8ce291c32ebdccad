#include "cli/bench_generation.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/atomic_file.h"
#include "base/cpu.h"
#include "base/error.h"
#include "base/json.h"
#include "bench/bench.h"
#include "bench/generation.h"
#include "bench/plot.h"
#include "cli/opened_model.h"
#include "cli/progress.h"
#include "text/tokenizer.h"

namespace duan::cli {
namespace {

using bench::Generation;
using bench::KvCache;

std::vector<int64_t> prompt_ids(const GenerationBench& options, const OpenedModel& model) {
  if (options.prompt.empty()) {
    return bench::random_ids(options.prompt_tokens, model.vocab_size(), 1);
  }
  return text::Tokenizer::load(model.folder()).encode(options.prompt);
}

int64_t tokens_to_generate(const GenerationBench& options, int64_t prompt, int64_t positions) {
  const int64_t room = positions - prompt;
  const int64_t tokens = options.tokens.value_or(std::min(kGeneratedTokens, room));
  if (tokens > room || room < 1) {
    throw Error(fmt::format("{} tokens after a prompt of {} do not fit the model's {} positions",
                            std::max(tokens, int64_t{1}), prompt, positions),
                "--generate");
  }
  return tokens;
}

Json to_json(const Generation& generation) {
  Json windows = Json::array();
  for (const bench::Window& window : generation.windows) {
    windows.push_back({{"first", window.first}, {"tokens", window.tokens}, {"tokens_per_second", window.rate()}});
  }
  return {{"tokens_per_second", generation.rate()},
          {"last_over_first", generation.last_over_first()},
          {"windows", std::move(windows)}};
}

bench::Series series_of(std::string label, const Generation& generation) {
  bench::Series series{std::move(label), {}};
  for (const bench::Window& window : generation.windows) {
    series.points.push_back(
        {static_cast<double>(window.first) + static_cast<double>(window.tokens) / 2, window.rate()});
  }
  return series;
}

void print_table(const Generation& with, const Generation* without) {
  fmt::print("| tokens | tok/s with KV cache |{}\n|---|---:|{}\n", without ? " without |" : "", without ? "---:|" : "");
  for (size_t i = 0; i < with.windows.size(); ++i) {
    const bench::Window& window = with.windows[i];
    fmt::print("| {} - {} | {:.2f} |", window.first + 1, window.first + window.tokens, window.rate());
    fmt::print("{}\n", without ? fmt::format(" {:.2f} |", without->windows[i].rate()) : "");
  }
  fmt::print("| all | {:.2f} |{}\n", with.rate(), without ? fmt::format(" {:.2f} |", without->rate()) : "");
  fmt::print("| last / first | {:.3f} |{}\n", with.last_over_first(),
             without ? fmt::format(" {:.3f} |", without->last_over_first()) : "");
}

}  // namespace

std::vector<CLI::Option*> add_generation_bench(CLI::App& command, GenerationBench& o) {
  CLI::Option* tokens = command.add_option(
      "--generate", o.tokens, fmt::format("Generate this many tokens after a prompt (default: {})", kGeneratedTokens));
  tokens->check(CLI::Range(int64_t{1}, int64_t{1} << 30));
  CLI::Option* prompt_tokens =
      command.add_option("--prompt-tokens", o.prompt_tokens, "Random ids before them")->capture_default_str();
  prompt_tokens->check(CLI::Range(int64_t{1}, int64_t{1} << 30));
  CLI::Option* prompt = command.add_option("--prompt", o.prompt, "A text before them instead")->type_name("TEXT");
  prompt->excludes(prompt_tokens);
  CLI::Option* without = command.add_flag("--no-kv-cache", o.without_kv_cache,
                                          "Generate them once more without the KV cache: for every token the whole "
                                          "sequence is computed again");
  CLI::Option* plot = command.add_option("--plot", o.plot, "Draw the speed of every window")->type_name("FILE.svg");
  return {tokens, prompt_tokens, prompt, without, plot};
}

void bench_generation(const GenerationBench& options) {
  const OpenedModel model(options.model);
  const std::vector<int64_t> prompt = prompt_ids(options, model);
  const auto prompt_tokens = static_cast<int64_t>(prompt.size());
  if (prompt.empty()) throw Error("has no tokens", "--prompt");
  const int64_t tokens = tokens_to_generate(options, prompt_tokens, model.positions());
  std::optional<AtomicFile> plot_file;  // before the measurement, so that a wrong folder shows at once
  if (!options.plot.empty()) plot_file.emplace(options.plot);

  ModelOptions model_options = options.model;
  model_options.context = prompt_tokens + tokens;
  const auto engine = model.make_engine(model_options);
  const auto work = [&](KvCache cache) { return bench::work(prompt_tokens, tokens, cache, options.repetitions); };
  const int64_t cached = work(KvCache::used), uncached = options.without_kv_cache ? work(KvCache::unused) : 0;
  Progress progress("bench", cached + uncached, "rows");
  const Generation with = bench::generate(*engine, prompt, tokens, KvCache::used, options.repetitions,
                                          [&](int64_t rows) { progress.update(rows); });
  std::optional<Generation> without;
  if (options.without_kv_cache) {
    without = bench::generate(*engine, prompt, tokens, KvCache::unused, options.repetitions,
                              [&](int64_t rows) { progress.update(cached + rows); });
  }
  progress.finish();

  const std::string how = fmt::format("{}, {}, {} thread{}", model.engine(), compute_name(engine->compute()),
                                      engine->threads(), engine->threads() == 1 ? "" : "s");
  if (plot_file) {
    bench::Plot plot{fmt::format("{} ({})", options.model.model, how), "tokens generated", "tokens per second", {}};
    plot.series.push_back(series_of("with KV cache", with));
    if (without) plot.series.push_back(series_of("without KV cache", *without));
    plot_file->write(bench::to_svg(plot));
    plot_file->commit();
  }
  if (options.json) {
    Json json = {{"model", options.model.model}, {"processor", cpu_model_name()},
                 {"engine", model.engine()},     {"compute", compute_name(engine->compute())},
                 {"threads", engine->threads()}, {"prompt_tokens", prompt_tokens},
                 {"generated_tokens", tokens},   {"kv_cache", to_json(with)}};
    if (without) {
      json["no_kv_cache"] = to_json(*without);
      json["same_tokens"] = with.ids == without->ids;
    }
    fmt::print("{}\n", to_text(json));
    return;
  }
  print_table(with, without ? &*without : nullptr);
  fmt::print("\n{}, {}, {}; {} prompt tokens\n", options.model.model,
             cpu_model_name().empty() ? "unknown processor" : cpu_model_name(), how, prompt_tokens);
  if (without) {
    fmt::print("Both ways generated {}.\n", with.ids == without->ids ? "the same tokens" : "DIFFERENT tokens");
  }
  if (plot_file) fmt::print("The plot is in {}.\n", options.plot);
}

}  // namespace duan::cli
