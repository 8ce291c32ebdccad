// duan eval perplexity; kl and ocrbench are in files of their own.
#include <fmt/format.h>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/eval_kl.h"
#include "cli/eval_ocrbench.h"
#include "cli/opened_model.h"
#include "cli/progress.h"
#include "cli/sequences.h"
#include "eval/perplexity.h"

namespace duan::cli {
namespace {

struct PerplexityOptions {
  ModelOptions model;
  SequenceOptions sequences;
  bool json = false;
};

void perplexity(const PerplexityOptions& options) {
  const OpenedModel model(options.model);
  const auto engine = model.make_engine(options.model);
  const auto sequences = read_sequences(options.sequences, model.folder(), engine->context());
  Progress progress("perplexity", sequences.tokens(), "tokens");
  const eval::Perplexity result = eval::perplexity(
      *engine, sequences.ids, [&](int64_t done) { progress.update(done); }, sequences.predicted);
  progress.finish();
  if (options.json) {
    fmt::print("{}\n", to_text(Json{{"perplexity", result.perplexity},
                                    {"standard_error", result.standard_error},
                                    {"interval_95", {result.interval.low, result.interval.high}},
                                    {"tokens", result.tokens},
                                    {"sequences", sequences.ids.size()},
                                    {"engine", model.engine()}}));
  } else {
    fmt::print("perplexity {:.4f} +- {:.4f} (95 %: {:.4f} to {:.4f}) over {} tokens in {} sequences\n",
               result.perplexity, result.standard_error, result.interval.low, result.interval.high, result.tokens,
               sequences.ids.size());
  }
}

}  // namespace

void add_eval(CLI::App& app) {
  CLI::App* command = app.add_subcommand("eval", "Measure a model's quality");
  command->require_subcommand(1);

  auto options = std::make_shared<PerplexityOptions>();
  CLI::App* ppl =
      command
          ->add_subcommand("perplexity", "Perplexity of a text, of answers in dialogues, or of given token sequences")
          ->alias("ppl");
  add_model_argument(*ppl, options->model);
  add_sequence_options(*ppl, options->sequences);
  add_engine_options(*ppl, options->model);
  ppl->add_flag("--json", options->json, "One JSON object");
  ppl->footer(
      "Beside the perplexity: its standard error, and the interval that holds it with 95 % confidence if tokens were\n"
      "independent.\n"
      "Examples: duan eval perplexity demo --text article.txt\n"
      "          duan eval perplexity demo --chat dialogues.jsonl --think off\n"
      "          duan eval perplexity models/demo --ids held_out.json --window 512 --json");
  ppl->callback([options] { perplexity(*options); });

  add_eval_kl(*command);
  add_eval_ocrbench(*command);
}

}  // namespace duan::cli
