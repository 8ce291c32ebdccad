#include <fmt/format.h>

#include <cstdio>

#include "base/error.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "cli/progress.h"
#include "eval/perplexity.h"

namespace duan::cli {
namespace {

struct PerplexityOptions {
  ModelOptions model;
  std::string ids_file;
  int64_t window = 0;
  bool json = false;
};

// A JSON list of id lists; or one flat list, cut into windows.
std::vector<std::vector<int64_t>> read_sequences(const std::string& file, int64_t window) {
  const Json json = read_json(file, {.max_bytes = size_t{1} << 30, .max_depth = 8});
  if (!json.is_array() || json.empty()) throw Error("expected a JSON list of lists of token ids", file);
  const auto to_ids = [&](const Json& list) {
    std::vector<int64_t> ids;
    for (const Json& id : list) {
      if (!id.is_number_integer()) throw Error("a token id is " + printable(to_text(id), 40), file);
      ids.push_back(id.get<int64_t>());
    }
    return ids;
  };
  std::vector<std::vector<int64_t>> sequences;
  if (json[0].is_array()) {
    if (window > 0) throw Error("cuts one flat list of ids, the file is a list of lists", "--window");
    for (const Json& list : json) {
      if (!list.is_array()) throw Error("mixes lists and numbers", file);
      sequences.push_back(to_ids(list));
    }
    return sequences;
  }
  const std::vector<int64_t> ids = to_ids(json);
  const size_t step = window > 0 ? static_cast<size_t>(window) : ids.size();
  for (size_t at = 0; at < ids.size(); at += step) {
    sequences.emplace_back(ids.begin() + static_cast<int64_t>(at),
                           ids.begin() + static_cast<int64_t>(std::min(ids.size(), at + step)));
  }
  return sequences;
}

void perplexity(const PerplexityOptions& options) {
  const models::Model model = models::Model::open(model_folder(options.model.model));
  const auto sequences = read_sequences(options.ids_file, options.window);
  const auto engine = make_engine(model, options.model);
  Progress progress("perplexity", static_cast<int64_t>(sequences.size()), "sequences");
  const eval::Perplexity result =
      eval::perplexity(*engine, sequences, [&](size_t done) { progress.update(static_cast<int64_t>(done)); });
  progress.finish();
  if (options.json) {
    fmt::print("{}\n", to_text(Json{{"perplexity", result.perplexity},
                                    {"standard_error", result.standard_error},
                                    {"tokens", result.tokens},
                                    {"sequences", sequences.size()}}));
  } else {
    fmt::print("perplexity {:.4f} +- {:.4f} over {} tokens in {} sequences\n", result.perplexity, result.standard_error,
               result.tokens, sequences.size());
  }
}

}  // namespace

void add_eval(CLI::App& app) {
  CLI::App* command = app.add_subcommand("eval", "Measure a model's quality");
  command->require_subcommand(1);

  auto options = std::make_shared<PerplexityOptions>();
  CLI::App* ppl = command->add_subcommand("perplexity", "Perplexity of given token sequences")->alias("ppl");
  add_model_argument(*ppl, options->model);
  ppl->add_option("--ids", options->ids_file, "JSON: a list of lists of token ids, or one flat list")
      ->required()
      ->type_name("FILE");
  ppl->add_option("--window", options->window, "Cut a flat list into sequences of this many ids")
      ->check(CLI::Range(2, 1 << 30));
  add_engine_options(*ppl, options->model);
  ppl->add_flag("--json", options->json, "One JSON object");
  ppl->footer("Example: duan eval perplexity models/demo --ids held_out.json --json");
  ppl->callback([options] { perplexity(*options); });
}

}  // namespace duan::cli
