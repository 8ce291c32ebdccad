#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "engine/generate.h"

namespace duan::cli {
namespace {

struct RunOptions {
  ModelOptions model;
  std::string ids;
  int64_t max_tokens = -1;
};

void run(const RunOptions& options) {
  const models::Model model = models::Model::open(model_folder(options.model.model));
  const auto engine = make_engine(model, options.model);
  engine::Sampler sampler({}, {});
  const auto prompt = parse_ids(options.ids, "--ids");
  const engine::Generated result =
      engine::generate(*engine, prompt, sampler, {.max_tokens = options.max_tokens, .stop_ids = {}, .cancel = nullptr});
  fmt::print("{}\n", fmt::join(result.ids, ","));
}

}  // namespace

void add_run(CLI::App& app) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command = app.add_subcommand("run", "Answer one prompt");
  add_model_argument(*command, options->model);
  command->add_option("--ids", options->ids, "Token ids instead of a prompt: 1,2,3");
  command->add_option("-n,--predict,--max-tokens", options->max_tokens, "Tokens to generate at most");
  add_engine_options(*command, options->model);
  command->callback([options] { run(*options); });
}

}  // namespace duan::cli
