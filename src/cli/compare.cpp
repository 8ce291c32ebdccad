#include "eval/compare.h"

#include <fmt/format.h>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/image_reader.h"
#include "cli/opened_model.h"

namespace duan::cli {
namespace {

struct CompareOptions {
  ModelOptions model;
  std::vector<std::string> goldens;
  ImageOptions image_options;
  double tolerance = 5e-4;
  bool json = false;
};

void compare(const CompareOptions& options) {
  const OpenedModel model(options.model);
  const auto engine = model.make_engine(options.model);
  std::unique_ptr<engine::Engine> peer;  // asked when a divergence is to be found
  if (model.engine() == "native") peer = model.make_reference(options.model);
  // Rounding of activations may swap two close tokens; in fp32 the goldens leave enough room for that to be an error.
  const bool greedy_counts = engine->compute() == engine::Compute::fp32;

  eval::CaseImages images;
  if (!options.image_options.images.empty() || !options.image_options.video_frames.empty()) {
    ImageReader reader(model.folder(), model.config(), model.make_encoder(options.model), options.image_options);
    for (const std::string& file : options.image_options.images) images.images.push_back(reader.read(file).features);
    if (!options.image_options.video_frames.empty()) {
      const std::vector<std::filesystem::path> frames(options.image_options.video_frames.begin(),
                                                      options.image_options.video_frames.end());
      for (const ReadImage& pair : reader.read_frames(frames)) images.frames.push_back(pair.features);
    }
  }

  bool failed = false;
  eval::Comparison worst;
  double worst_max_over_std = 0, worst_rms_over_std = 0;
  Json cases = Json::array();
  for (const std::string& golden : options.goldens) {
    const eval::Comparison c =
        model.checkpoint() != nullptr
            ? eval::compare(*model.checkpoint(), *engine, golden, options.tolerance, peer.get(), images)
        : images.empty() ? eval::compare(model.vocab_size(), *engine, golden, options.tolerance)
                         : eval::compare(model.config(), *engine, golden, options.tolerance, images);
    const bool ok = c.max_abs <= options.tolerance && (c.greedy_equal || !greedy_counts) &&
                    (images.empty() || c.first_divergence.empty() || !greedy_counts);
    failed = failed || !ok;
    worst.max_abs = std::max(worst.max_abs, c.max_abs);
    worst.rel_l2 = std::max(worst.rel_l2, c.rel_l2);
    worst_max_over_std = std::max(worst_max_over_std, c.max_abs / c.logit_std);
    worst_rms_over_std = std::max(worst_rms_over_std, c.rms / c.logit_std);
    worst.top1 = std::min(worst.top1, c.top1);
    worst.greedy_equal = worst.greedy_equal && c.greedy_equal;
    if (worst.first_divergence.empty()) worst.first_divergence = c.first_divergence;
    Json entry = eval::to_json(c);
    entry["file"] = golden;
    entry["ok"] = ok;
    cases.push_back(std::move(entry));
    if (!options.json) {
      fmt::print("{}  max {:.3g} ({:.2g} of std, rms {:.2g})  rel_l2 {:.3g}  top1 {:.4f}  greedy {}  {}{}\n", golden,
                 c.max_abs, c.max_abs / c.logit_std, c.rms / c.logit_std, c.rel_l2, c.top1,
                 c.greedy_equal ? "equal" : "DIFFERS", ok ? "ok" : "FAILED",
                 c.first_divergence.empty() ? "" : ", first divergence: " + c.first_divergence);
    }
  }
  if (options.json) {
    Json result = {{"engine", model.engine()},
                   {"max_abs", worst.max_abs},
                   {"rel_l2", worst.rel_l2},
                   {"top1", worst.top1},
                   {"greedy_equal", worst.greedy_equal},
                   {"max_abs_over_std", worst_max_over_std},
                   {"rms_over_std", worst_rms_over_std},
                   {"first_divergence", worst.first_divergence.empty() ? Json(nullptr) : Json(worst.first_divergence)},
                   {"tolerance", options.tolerance},
                   {"ok", !failed},
                   {"cases", std::move(cases)}};
    fmt::print("{}\n", to_text(result));
  }
  if (failed) throw Failed{};
}

}  // namespace

void add_compare(CLI::App& app) {
  auto options = std::make_shared<CompareOptions>();
  options->model.compute = "fp32";
  CLI::App* command = app.add_subcommand("compare", "Hold a model's logits against golden outputs");
  add_model_argument(*command, options->model);
  command->add_option("goldens", options->goldens, "Golden files (safetensors: input_ids, logits, greedy_ids, ...)")
      ->required()
      ->type_name("GOLDEN");
  add_engine_options(*command, options->model);
  command->add_option("--tol", options->tolerance, "Largest difference of a logit that passes")->capture_default_str();
  add_image_options(*command, options->image_options);
  command->add_flag("--json", options->json, "One JSON object");
  command->footer(
      "Exit code 1 if a logit differs by more than --tol, or (fp32) the greedy continuation differs. Of an ONNX "
      "folder\n"
      "nothing is seen but logits: no node is named.\n"
      "Example: duan compare models/demo tests/data/models/demo/*.safetensors --engine reference");
  command->callback([options] { compare(*options); });
}

}  // namespace duan::cli
