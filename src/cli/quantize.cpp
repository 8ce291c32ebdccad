#include "quant/quantize.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "base/error.h"
#include "cli/calibration_pictures.h"
#include "cli/commands.h"
#include "cli/held_out.h"
#include "cli/image_options.h"
#include "cli/model_options.h"
#include "cli/progress.h"
#include "cli/size.h"
#include "cli/terminal.h"
#include "quant/work_folder.h"

namespace duan::cli {
namespace {

struct QuantizeCommand {
  ModelOptions model;
  ImageOptions images;
  std::string folder, method, observer = "mse", alpha = "auto", weight_observer, duo = "on", compute = "auto";
  std::string shard_size = "5GB", held_out;
  std::vector<std::string> calibration, keep, include;
  int64_t samples = 128, tokens = 256, group_size = 128, search_tokens = quant::Recipe().search_tokens,
          propagate_tokens = quant::Recipe().propagate_tokens;
  uint64_t seed = 0;
  double percentile = 99.999, budget = 0, image_weight = 1;
  int bits = 4, threads = 0;
  bool no_smooth = false, smooth_gqa = false, no_propagate_error = false, asymmetric = false, overwrite = false,
       restart = false, json = false;
  const CLI::App* app = nullptr;

  bool given(const char* flag) const { return app->count(flag) > 0; }
};

// What is meant where no method is named.
std::string default_method(const QuantizeCommand& c) {
  return c.given("--bits") || c.given("--group-size") || c.given("--asymmetric") ? "awq-gptq" : "int8-static";
}

// A flag that would have no effect is a misunderstanding.
void check_flags(const QuantizeCommand& c) {
  const auto only = [&](std::initializer_list<const char*> flags, bool fits, const char* with) {
    for (const char* flag : flags) {
      if (c.given(flag) && !fits) throw Error(fmt::format("has no effect with --method {}", c.method), flag, with);
    }
  };
  const bool in_groups = !c.method.starts_with("int8");
  only({"--bits", "--group-size", "--asymmetric", "--include"}, in_groups,
       "it belongs to --method rtn, awq, gptq and awq-gptq");
  only({"--observer", "--percentile"}, c.method == "int8-static",
       "it belongs to --method int8-static; --weight-observer chooses the range of weights");
  only({"--smooth-alpha", "--no-smooth"}, !in_groups, "it belongs to --method int8-static and int8-dynamic");
  only({"--duo-scaling"}, c.method.starts_with("awq"), "it belongs to --method awq and awq-gptq");
  only({"--image-token-weight", "--no-propagate-error", "--propagate-tokens"}, c.method.ends_with("gptq"),
       "it belongs to --method gptq and awq-gptq");
  if (c.given("--image-token-weight") && !c.no_propagate_error) {
    throw Error("does not weigh what rounding changed before a layer", "--image-token-weight",
                "add --no-propagate-error");
  }
  if (c.given("--propagate-tokens") && c.no_propagate_error) {
    throw Error("has no effect with --no-propagate-error", "--propagate-tokens");
  }
  only({"--compute"}, c.method.starts_with("awq") || c.method == "gptq",
       "it belongs to --method awq, gptq and awq-gptq");
  only({"--search-tokens"}, c.method == "awq", "it belongs to --method awq");
  only({"--smooth-gqa"}, c.method.starts_with("awq") || (!in_groups && !c.no_smooth),
       "it belongs to --method awq, awq-gptq, int8-static and int8-dynamic where they smooth");
  if (c.given("--smooth-alpha") && c.no_smooth) throw Error("has no effect with --no-smooth", "--smooth-alpha");
  if (c.given("--percentile") && c.observer != "percentile") {
    throw Error(fmt::format("has no effect with --observer {}", c.observer), "--percentile");
  }
  if (c.group_size < 1 && c.group_size != -1) {
    throw Error(fmt::format("{} columns cannot share a scale", c.group_size), "--group-size",
                "give 1 or more, or -1 for a whole row");
  }
  if (c.calibration.empty()) {
    for (const char* flag : {"--samples", "--tokens", "--seed", "--smooth-alpha", "--smooth-gqa", "--search-tokens",
                             "--min-pixels", "--max-pixels"}) {
      if (c.given(flag)) throw Error("has no effect without --calibration", flag);
    }
  }
}

quant::QuantizeOptions settings(const QuantizeCommand& c) {
  quant::QuantizeOptions options;
  quant::Recipe& recipe = options.recipe;
  recipe.method = c.method == "rtn"            ? quant::Method::rtn
                  : c.method == "awq"          ? quant::Method::awq
                  : c.method == "gptq"         ? quant::Method::gptq
                  : c.method == "awq-gptq"     ? quant::Method::awq_gptq
                  : c.method == "int8-dynamic" ? quant::Method::int8_dynamic
                                               : quant::Method::int8_static;
  recipe.weights.observer = c.weight_observer == "imatrix" ? quant::WeightObserver::imatrix
                            : c.weight_observer == "minmax" || (c.weight_observer.empty() && recipe.rounds_inputs())
                                ? quant::WeightObserver::minmax
                                : quant::WeightObserver::mse;
  recipe.duo = c.duo == "off"    ? quant::DuoScaling::off
               : c.duo == "both" ? quant::DuoScaling::both
                                 : quant::DuoScaling::on;
  recipe.search_tokens = c.search_tokens;
  if (recipe.packed()) {
    recipe.weights.bits = c.bits;
    recipe.weights.group_size = std::max<int64_t>(c.group_size, 0);
    recipe.weights.symmetric = !c.asymmetric;
  }
  recipe.range.method = c.observer == "minmax"       ? quant::RangeMethod::minmax
                        : c.observer == "percentile" ? quant::RangeMethod::percentile
                        : c.observer == "entropy"    ? quant::RangeMethod::entropy
                                                     : quant::RangeMethod::mse;
  recipe.range.percentile = c.percentile;
  recipe.smooth = !c.no_smooth && recipe.rounds_inputs() && !c.calibration.empty();
  recipe.smooth_gqa = c.smooth_gqa;
  recipe.image_weight = c.image_weight;
  recipe.propagate_error = !c.no_propagate_error;
  recipe.propagate_tokens = c.propagate_tokens;
  recipe.compute = c.compute == "bf16"   ? engine::Compute::bf16
                   : c.compute == "fp32" ? engine::Compute::fp32
                                         : engine::Compute::automatic;
  if (c.alpha != "auto") {
    char* end = nullptr;
    recipe.alpha = std::strtod(c.alpha.c_str(), &end);
    if (c.alpha.empty() || *end != '\0' || !(*recipe.alpha >= 0 && *recipe.alpha <= 1)) {
      throw Error(fmt::format("\"{}\" is neither auto nor a number in [0, 1]", printable(c.alpha, 20)),
                  "--smooth-alpha");
    }
  }
  recipe.keep = c.keep;
  recipe.include = c.include;
  recipe.budget = c.budget;
  options.max_shard_bytes = parse_size(c.shard_size, "--max-shard-size");
  options.threads = c.threads;
  options.overwrite = c.overwrite;
  options.restart = c.restart;
  return options;
}

std::string percent(const Json& record, const char* key) {
  return record.contains(key) ? fmt::format("{:.3f}", 100 * record.at(key).get<double>()) : "";
}

// Text for a cell of a table: a regular expression may hold the character that ends one.
std::string cell(std::string text) {
  for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, 1, '\\');
  return text;
}

void print_report(const QuantizeCommand& c, const Json& report, double seconds, double peak_mb) {
  fmt::print("Relative errors in percent; the output's on calibration inputs, plain ({}) and as written.\n\n",
             c.method.ends_with("gptq") ? "to nearest, without smoothing" : "without smoothing");
  fmt::print("| module | input range | weight | output, plain | output |\n|---|---:|---:|---:|---:|\n");
  for (const Json& module : report.at("modules")) {
    const auto name = module.at("module").get<std::string>();
    if (module.contains("kept")) {
      fmt::print("| {} | kept: {} | | | {} |\n", name, cell(module.at("kept").get<std::string>()),
                 percent(module, "output_error"));
      continue;
    }
    const std::string range =
        module.contains("input_range") ? fmt::format("{:.4g}", module.at("input_range").get<double>()) : "";
    const char* plain = module.contains("output_error_unsmoothed") ? "output_error_unsmoothed" : "output_error";
    fmt::print("| {} | {} | {} | {} | {} |\n", name, range, percent(module, "weight_error"), percent(module, plain),
               percent(module, "output_error"));
  }
  if (report.contains("evaluation")) {
    const Json& e = report.at("evaluation");
    fmt::print(
        "\nAgainst the source on {} tokens of {}: KL {:.4g} nats, top-1 agreement {:.3f} %, perplexity {:.5g} "
        "(source {:.5g})\n",
        e.at("tokens").get<int64_t>(), e.at("file").get<std::string>(), e.at("kl").at("mean").get<double>(),
        100 * e.at("top1").get<double>(), e.at("perplexity").at("value").get<double>(),
        e.at("reference_perplexity").at("value").get<double>());
  }
  const double from = report.at("bytes").at("source").get<double>(), to = report.at("bytes").at("output").get<double>();
  fmt::print("\n{}: weights {:.1f} MB, {:.2f} % of {:.1f} MB; {:.1f} s, {:.0f} MB of memory at most\n", c.folder,
             to * 1e-6, 100 * to / from, from * 1e-6, seconds, peak_mb);
}

void run_quantize(QuantizeCommand& c) {
  StagedProgress progress;
  if (c.method.empty()) c.method = default_method(c);
  check_flags(c);
  quant::QuantizeOptions options = settings(c);
  const models::Model model = models::Model::open(model_folder(c.model.model));
  CalibrationPictures pictures(model, c.images, c.threads);
  options.pictures = &pictures;
  std::optional<quant::CalibrationSet> samples;
  if (!c.calibration.empty()) {
    samples = quant::load_calibration({{c.calibration.begin(), c.calibration.end()}, c.samples, c.tokens, c.seed},
                                      model.folder, model.config.vocab_size, &pictures);
    for (const char* flag : {"--min-pixels", "--max-pixels", "--image-token-weight"}) {
      if (c.given(flag) && samples->pictures.empty()) throw Error("has no effect: no sample has a picture", flag);
    }
  }

  const Interruptible interruptible;
  const auto stop_if_interrupted = [&] {
    if (!interrupted()) return;
    progress.finish();
    throw Error("interrupted", quant::WorkFolder::path_for(c.folder).string(),
                "finished layers are kept there; the same command goes on");
  };
  if (!c.held_out.empty()) {
    options.evaluate = [&, held_out = HeldOut(c.held_out, model)](const std::filesystem::path& folder) {
      return held_out.evaluate(model, folder, c.threads, [&](int64_t done, int64_t total) {
        stop_if_interrupted();
        progress.update("evaluating", "M tokens", done, total);
      });
    };
  }
  const Json report =
      quant::quantize(model, samples ? &*samples : nullptr, c.folder, options, [&](const quant::QuantizeProgress& p) {
        stop_if_interrupted();
        if (p.writing) {
          progress.update("writing", "MB", p.done, p.total);
        } else {
          progress.update("quantizing", "M weights", p.done, p.total,
                          p.stage.empty() ? p.what : fmt::format("{}: {}", p.what, p.stage));
        }
      });
  const double seconds = progress.finish();
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const double peak_mb = static_cast<double>(usage.ru_maxrss) * 1.024e-3;
  if (c.json) {
    Json json = report;
    json["folder"] = c.folder;
    json["seconds"] = seconds;
    json["peak_mb"] = peak_mb;
    fmt::print("{}\n", to_text(json));
    return;
  }
  print_report(c, report, seconds, peak_mb);
}

void add_rounding_options(CLI::App& command, QuantizeCommand& c) {
  command
      .add_option("--method", c.method,
                  "int8-static: int8 weights, inputs of layers rounded to int8 with calibrated ranges; int8-dynamic: "
                  "with a range of each token's own; rtn: 4- or 8-bit weights in groups; awq: the same after scaling "
                  "channels by what calibration texts ask for; gptq: in groups, each weight rounded so that it makes "
                  "up for the errors of others; awq-gptq: both (default: awq-gptq with --bits, --group-size or "
                  "--asymmetric, else int8-static)")
      ->check(CLI::IsMember({"int8-static", "int8-dynamic", "rtn", "awq", "gptq", "awq-gptq"}));
  command.add_option("--observer", c.observer, "Chooses the range of inputs (int8-static)")
      ->check(CLI::IsMember({"minmax", "percentile", "mse", "entropy"}))
      ->capture_default_str();
  command.add_option("--percentile", c.percentile, "Of the inputs that --observer percentile keeps inside")
      ->check(CLI::Range(1.0, 100.0))
      ->capture_default_str();
  command
      .add_option("--smooth-alpha", c.alpha,
                  "How much of the channels' sizes weights take over from inputs: 0 to 1, or auto, chosen for each "
                  "pair of layers by measured error")
      ->capture_default_str();
  command.add_flag("--no-smooth", c.no_smooth, "Leave norms and channels as they are");
  command.add_flag("--smooth-gqa", c.smooth_gqa,
                   "Scale channels of values that heads of queries share, too, alike for those heads (int8, awq, "
                   "awq-gptq)");
  command
      .add_option("--weight-observer", c.weight_observer,
                  "Chooses the range of weights; imatrix: by errors weighted with calibration inputs (default: minmax "
                  "with int8, else mse)")
      ->check(CLI::IsMember({"minmax", "mse", "imatrix"}));
  command.add_option("--bits", c.bits, "Of a weight (methods in groups)")
      ->check(CLI::IsMember({4, 8}))
      ->capture_default_str();
  command.add_option("--group-size", c.group_size, "Columns that share a scale (methods in groups); -1: a whole row")
      ->capture_default_str();
  command.add_flag("--asymmetric", c.asymmetric, "Groups have zero points");
  command
      .add_option("--duo-scaling", c.duo,
                  "Whether channels are scaled by their weights as well as by their inputs; both: each is tried (awq, "
                  "awq-gptq)")
      ->check(CLI::IsMember({"on", "off", "both"}))
      ->capture_default_str();
  command
      .add_option("--search-tokens", c.search_tokens,
                  "About how many calibration tokens each scaling is tried on (awq); 0: all, as llm-compressor does")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->capture_default_str();
  command
      .add_option("--image-token-weight", c.image_weight,
                  "What a token that stands for a part of a picture counts, where one of a text counts 1 (gptq, "
                  "awq-gptq)")
      ->check(CLI::Range(1e-6, 1e6))
      ->capture_default_str();
  command.add_flag("--no-propagate-error", c.no_propagate_error,
                   "Let no layer make up for what rounding changed before it: faster, more error (gptq, awq-gptq)");
  command
      .add_option(
          "--propagate-tokens", c.propagate_tokens,
          "About how many calibration tokens tell what rounding changed before a layer (gptq, awq-gptq); 0: all")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->capture_default_str();
  command
      .add_option(
          "--compute", c.compute,
          "Precision of calibration's matrix products (awq, gptq, awq-gptq); with bf16, Gram matrices are summed "
          "from int8 codes; auto: bf16 where the source's weights are and the processor multiplies it directly, "
          "else fp32")
      ->check(CLI::IsMember({"auto", "fp32", "bf16"}))
      ->capture_default_str();
  command
      .add_option(
          "--keep,--ignore", c.keep,
          "Leave matrices whose name this matches as they are; may be repeated. With \"re:\" before it, it must "
          "match from the name's beginning, as in llm-compressor's ignore lists (the vision tower always stays; "
          "so do, with methods in groups, the embedding and the head)")
      ->type_name("REGEX")
      ->allow_extra_args(false);
  command
      .add_option(
          "--include", c.include,
          "Round matrices whose name this matches, too: the embedding or the head, which methods in groups leave as "
          "they are; may be repeated")
      ->type_name("REGEX")
      ->allow_extra_args(false);
  command
      .add_option("--budget", c.budget,
                  "Keep the layers with the largest output errors in full precision as long as the weights take no "
                  "more than this many percent of the source's bytes")
      ->check(CLI::Range(0.001, 100.0))
      ->type_name("PERCENT");
}

}  // namespace

void add_quantize(CLI::App& app) {
  auto c = std::make_shared<QuantizeCommand>();
  CLI::App* command = app.add_subcommand("quantize", "Round a model's weights, and what its layers read, to integers");
  c->app = command;
  add_checkpoint_argument(*command, c->model);
  command->add_option("-o,--output", c->folder, "Folder to write")->required()->type_name("DIR");
  add_rounding_options(*command, *c);
  command
      ->add_option(
          "--calibration", c->calibration,
          "Texts and pictures the model is run on: .jsonl, .json (OCRBench.json, too), .txt or .safetensors; may be "
          "repeated")
      ->type_name("FILE")
      ->allow_extra_args(false);
  command->add_option("--samples", c->samples, "Samples taken from them, at most")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  command->add_option("--tokens", c->tokens, "Tokens of a sample, at most")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  command->add_option("--seed", c->seed, "Decides which samples are taken")->capture_default_str();
  add_pixel_options(*command, c->images);
  command
      ->add_option("--evaluate", c->held_out,
                   "Compare the output with the source on this text for the report: .txt, .jsonl (dialogues) or .json "
                   "(token ids)")
      ->type_name("FILE");
  command->add_option("--max-shard-size", c->shard_size, "Of a weight file")->type_name("SIZE")->capture_default_str();
  command->add_option("-t,--threads", c->threads, "Threads (default: one per processor)")->check(CLI::Range(1, 1024));
  command->add_flag("--overwrite", c->overwrite, "Replace what an earlier run wrote");
  command->add_flag("--restart", c->restart, "Throw unfinished work away");
  command->add_flag("--json", c->json, "The report as one JSON object");
  command->footer(
      "The output is a compressed-tensors checkpoint that duan and transformers load, with a report for people\n"
      "(quantization_report.html) and for programs (quantization_report.json). Finished layers are kept in\n"
      "DIR.partial until it is complete: the same command goes on where a run was stopped.\n"
      "Examples:\n"
      "  duan quantize Qwen3-1.7B -o Qwen3-1.7B-int8 --calibration chats.jsonl\n"
      "  duan quantize Qwen3-1.7B -o out --calibration chats.jsonl --keep 'embed_tokens|lm_head' --budget 60\n"
      "  duan quantize Qwen3-1.7B -o out --method int8-dynamic\n"
      "  duan quantize Qwen3-1.7B -o Qwen3-1.7B-w4 --bits 4 --calibration chats.jsonl\n"
      "  duan quantize Qwen3-1.7B -o out --method rtn --bits 4 --group-size 128\n"
      "  duan quantize Qwen3-1.7B -o Qwen3-1.7B-awq --method awq --calibration chats.jsonl\n"
      "  duan quantize Qwen3-1.7B -o out --bits 4 --calibration chats.jsonl --compute fp32\n"
      "  duan quantize Qwen3-1.7B -o out --method rtn --weight-observer imatrix --calibration chats.jsonl");
  command->callback([c] { run_quantize(*c); });
}

}  // namespace duan::cli
