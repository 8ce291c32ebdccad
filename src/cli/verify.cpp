#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/model_options.h"
#include "inspect/loader_checks.h"

namespace duan::cli {
namespace {

struct VerifyCommand {
  ModelOptions model;
  std::string loader, device = "cuda";
  int64_t tensor_parallel = 1;
  bool json = false;
  const CLI::App* app = nullptr;
};

std::string line_of(const inspect::LoaderCheck& check) {
  using inspect::Verdict;
  if (check.verdict != Verdict::fail) {
    return fmt::format("{:<5} {}: {}", inspect::verdict_name(check.verdict), check.what, check.found);
  }
  return fmt::format("FAIL  {}: found {}, expected {}; {}", check.what, check.found, check.expected, check.advice);
}

void run_verify(const VerifyCommand& c) {
  const bool vllm = c.loader == "vllm";
  for (const char* flag : {"--tensor-parallel", "--device"}) {
    if (!vllm && c.app->count(flag) > 0) throw Error("has no effect with --for transformers", flag);
  }
  const std::filesystem::path folder = model_folder(c.model.model);
  const std::vector<inspect::LoaderCheck> checks =
      inspect::check_for_loader(folder, {.loader = vllm ? inspect::Loader::vllm : inspect::Loader::transformers,
                                         .tensor_parallel = c.tensor_parallel,
                                         .cpu = c.device == "cpu"});
  size_t met = 0, failed = 0;
  for (const inspect::LoaderCheck& check : checks) {
    met += check.verdict == inspect::Verdict::ok;
    failed += check.verdict == inspect::Verdict::fail;
  }
  if (c.json) {
    Json list = Json::array();
    for (const inspect::LoaderCheck& check : checks) list.push_back(inspect::to_json(check));
    fmt::print("{}\n", to_text({{"folder", folder.string()},
                                {"for", c.loader},
                                {"tensor_parallel", c.tensor_parallel},
                                {"device", vllm ? Json(c.device) : Json()},
                                {"ok", failed == 0},
                                {"checks", std::move(list)}}));
  } else {
    for (const inspect::LoaderCheck& check : checks) fmt::print("{}\n", line_of(check));
    fmt::print("{}: {} of {} requirements of {} are met\n", folder.string(), met, met + failed, c.loader);
  }
  if (failed > 0) throw Failed();
}

}  // namespace

void add_verify(CLI::App& app) {
  auto c = std::make_shared<VerifyCommand>();
  CLI::App* command = app.add_subcommand("verify", "Check that another program can load a checkpoint folder");
  c->app = command;
  add_checkpoint_argument(*command, c->model);
  command->add_option("--for", c->loader, "The program: vllm or transformers")
      ->required()
      ->check(CLI::IsMember({"vllm", "transformers"}));
  command->add_option("--tensor-parallel,--tp", c->tensor_parallel, "Devices that share each layer (vllm)")
      ->check(CLI::Range(int64_t{1}, int64_t{1024}))
      ->capture_default_str();
  command->add_option("--device", c->device, "cuda, or cpu, whose kernels ask for more (vllm)")
      ->check(CLI::IsMember({"cuda", "cpu"}))
      ->capture_default_str();
  command->add_flag("--json", c->json, "The checks as one JSON object");
  command->footer(
      "Each requirement is a line: ok, note or FAIL. The requirements are those of the loaders' sources and of runs "
      "of\n"
      "transformers; nothing is loaded here. Exit code 1 if one is not met.\n"
      "Examples:\n"
      "  duan verify Qwen3-1.7B-awq --for vllm\n"
      "  duan verify Qwen3-32B-awq --for vllm --tensor-parallel 4 --json\n"
      "  duan verify Qwen3-1.7B-awq --for transformers");
  command->callback([c] { run_verify(*c); });
}

}  // namespace duan::cli
