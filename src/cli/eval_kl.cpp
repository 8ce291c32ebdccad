#include "cli/eval_kl.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/json.h"
#include "cli/opened_model.h"
#include "cli/progress.h"
#include "cli/sequences.h"
#include "eval/kl.h"
#include "text/tokenizer.h"

namespace duan::cli {
namespace {

namespace fs = std::filesystem;

struct KlOptions {
  ModelOptions model;
  std::string reference, reference_engine = "auto", reference_compute = "fp32";
  SequenceOptions sequences;
  bool json = false;
};

struct Percentile {
  const char *title, *key;
  double percent;
};
constexpr Percentile kPercentiles[] = {{"median", "median", 50}, {"90 %", "p90", 90},       {"95 %", "p95", 95},
                                       {"99 %", "p99", 99},      {"99.9 %", "p99_9", 99.9}, {"maximum", "max", 100}};

bool has_tokenizer(const fs::path& folder) {
  return fs::exists(folder / "tokenizer.json") || fs::exists(folder / "vocab.json");
}

// Equal sizes do not make equal vocabularies. Folders without a tokenizer can only be trusted, ids are given for them.
void check_same_tokens(const fs::path& folder, const fs::path& reference) {
  if (!has_tokenizer(folder) || !has_tokenizer(reference)) return;
  const text::Tokenizer a = text::Tokenizer::load(folder), b = text::Tokenizer::load(reference);
  for (int64_t id = 0; id < std::min(a.vocab_size(), b.vocab_size()); ++id) {
    if (!a.has_token(id) || !b.has_token(id) || a.token_bytes(id) == b.token_bytes(id)) continue;
    throw Error(fmt::format("token {} is \"{}\", in the reference \"{}\"", id, printable(a.token_bytes(id), 40),
                            printable(b.token_bytes(id), 40)),
                folder.string(), "only models with the same vocabulary can be compared");
  }
}

// "models/demo (native, bf16)".
std::string description(const std::string& name, const OpenedModel& model, const engine::Engine& engine) {
  return fmt::format("{} ({}, {})", name, model.engine(), compute_name(engine.compute()));
}

void print_table(const eval::Divergence& d) {
  const auto with_interval = [](const char* title, double value, const eval::Interval& interval) {
    fmt::print("| {} | {:.6g} | {:.6g} to {:.6g} |\n", title, value, interval.low, interval.high);
  };
  fmt::print("| | | 95 % confidence |\n|---|---:|---:|\n");
  with_interval("perplexity of the model", d.perplexity.perplexity, d.perplexity.interval);
  with_interval("perplexity of the reference", d.reference_perplexity.perplexity, d.reference_perplexity.interval);
  with_interval("ln(model / reference)", d.loss_difference.value(), d.loss_difference.interval());
  with_interval("KL(reference, model): mean", d.kl.value(), d.kl.interval());
  for (const auto& [title, key, percent] : kPercentiles) {
    fmt::print("| KL {} | {:.6g} | |\n", title, eval::percentile(d.sorted_kl, percent));
  }
  fmt::print("| same most probable token | {:.3f} % | {:.3f} % to {:.3f} % |\n", 100 * d.top1,
             100 * d.top1_interval.low, 100 * d.top1_interval.high);
}

Json with_interval(double value, const eval::Interval& interval) {
  return {{"value", value}, {"interval_95", {interval.low, interval.high}}};
}

void kl(const KlOptions& options) {
  ModelOptions reference_options = options.model;
  reference_options.model = options.reference;
  reference_options.engine = options.reference_engine;
  reference_options.compute = options.reference_compute;
  reference_options.kv_dtype = "auto";  // what its own --reference-compute asks for

  const fs::path folder = model_folder(options.model.model), reference_folder = model_folder(options.reference);
  check_same_tokens(folder, reference_folder);
  const OpenedModel model(options.model), reference(reference_options);
  const auto engine = model.make_engine(options.model);
  const auto reference_engine = reference.make_engine(reference_options);
  const auto sequences =
      read_sequences(options.sequences, folder, std::min(engine->context(), reference_engine->context()));

  Progress progress("kl", sequences.predicted_tokens(), "tokens");
  eval::Divergence result;
  try {
    result = eval::divergence(
        *engine, *reference_engine, sequences.ids, [&](int64_t done) { progress.update(done); }, sequences.predicted);
  } catch (const Error& e) {
    throw e.at(fmt::format("{} and {}", options.model.model, options.reference));
  }
  progress.finish();
  if (options.json) {
    Json json = divergence_json(result);
    json["sequences"] = sequences.ids.size();
    json["model"] = description(options.model.model, model, *engine);
    json["reference"] = description(options.reference, reference, *reference_engine);
    fmt::print("{}\n", to_text(json));
    return;
  }
  fmt::print("model:     {}\nreference: {}\n{} tokens predicted in {} sequences\n\n",
             description(options.model.model, model, *engine),
             description(options.reference, reference, *reference_engine), result.kl.count(), sequences.ids.size());
  print_table(result);
}

}  // namespace

Json divergence_json(const eval::Divergence& d) {
  Json kl = {{"mean", d.kl.value()}, {"interval_95", {d.kl.interval().low, d.kl.interval().high}}};
  for (const auto& [title, key, percent] : kPercentiles) kl[key] = eval::percentile(d.sorted_kl, percent);
  return {{"kl", std::move(kl)},
          {"top1", d.top1},
          {"top1_interval_95", {d.top1_interval.low, d.top1_interval.high}},
          {"perplexity", with_interval(d.perplexity.perplexity, d.perplexity.interval)},
          {"reference_perplexity", with_interval(d.reference_perplexity.perplexity, d.reference_perplexity.interval)},
          {"ln_perplexity_ratio", with_interval(d.loss_difference.value(), d.loss_difference.interval())},
          {"tokens", d.kl.count()}};
}

void add_eval_kl(CLI::App& eval) {
  auto options = std::make_shared<KlOptions>();
  CLI::App* command = eval.add_subcommand("kl", "How far a model's predictions are from a reference model's");
  add_model_argument(*command, options->model);
  command->add_option("--reference", options->reference, "The model it is held against: a folder, or 'demo'")
      ->required()
      ->type_name("MODEL");
  add_sequence_options(*command, options->sequences);
  add_engine_options(*command, options->model);
  add_engine_choice(*command, "--reference-engine", options->reference_engine, "What runs the reference");
  command->add_option("--reference-compute", options->reference_compute, "Precision of the reference's activations")
      ->check(CLI::IsMember({"auto", "fp32", "int16", "bf16"}))
      ->capture_default_str();
  command->add_flag("--json", options->json, "One JSON object");
  command->footer(
      "Both models read the same tokens side by side; no logits are written anywhere. For every token: the\n"
      "Kullback-Leibler divergence of the model's prediction from the reference's, in nats, and whether the most\n"
      "probable token is the same. Intervals take tokens for independent.\n"
      "Examples: duan eval kl Qwen3-1.7B-int4 --reference Qwen3-1.7B --text article.txt\n"
      "          duan eval kl demo-int8 --reference demo --chat dialogues.jsonl --think off\n"
      "          duan eval kl demo --compute bf16 --reference demo --ids held_out.json --window 512 --json");
  command->callback([options] { kl(*options); });
}

}  // namespace duan::cli
