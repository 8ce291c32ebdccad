#include "cli/eval_ocrbench.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/atomic_file.h"
#include "base/error.h"
#include "cli/progress.h"
#include "cli/responder.h"
#include "cli/terminal.h"
#include "eval/ocrbench.h"
#include "eval/statistics.h"

namespace duan::cli {
namespace {

struct OcrOptions {
  ModelOptions model;
  GenerationFlags generation;
  std::string data, output;
  int64_t limit = 0;
  bool wrong = false, json = false;
};

struct Score {
  std::string name;
  int64_t hits = 0, count = 0;

  void add(bool hit) {
    hits += hit ? 1 : 0;
    ++count;
  }
  double share() const { return static_cast<double>(hits) / static_cast<double>(count); }
  eval::Interval interval() const { return eval::share_interval(hits, count); }
};

Score& score_of(std::vector<Score>& scores, const std::string& name) {
  const auto found = std::find_if(scores.begin(), scores.end(), [&](const Score& s) { return s.name == name; });
  return found != scores.end() ? *found : scores.emplace_back(Score{name});
}

Json to_json(const Score& s) {
  return {{"hits", s.hits},
          {"count", s.count},
          {"accuracy", s.share()},
          {"interval_95", {s.interval().low, s.interval().high}}};
}

Json to_json(const std::vector<Score>& scores) {
  Json json = Json::object();
  for (const Score& s : scores) json[s.name] = to_json(s);
  return json;
}

void print_head() { fmt::print("| | hits | of | % | 95 % confidence |\n|---|---:|---:|---:|---:|\n"); }

void print(const Score& s) {
  fmt::print("| {} | {} | {} | {:.1f} | {:.1f} to {:.1f} |\n", s.name, s.hits, s.count, 100 * s.share(),
             100 * s.interval().low, 100 * s.interval().high);
}

void ocrbench(OcrOptions options) {
  Json list = read_json(options.data, {.max_bytes = size_t{64} << 20, .max_depth = 8});
  std::vector<text::OcrCase> cases = text::read_ocr_cases(list, options.data);
  if (options.limit > 0 && options.limit < static_cast<int64_t>(cases.size())) {
    cases.resize(static_cast<size_t>(options.limit));
    list.erase(list.begin() + options.limit, list.end());
  }
  options.generation.greedy = true;
  Responder responder(options.model, options.generation, Responder::Input::conversation);

  std::vector<Score> types, groups;
  Score all{"all"};
  Progress progress("ocrbench", static_cast<int64_t>(cases.size()), "questions");
  bool cancelled = false;
  {
    Interruptible interruptible;
    for (size_t i = 0; i < cases.size() && !cancelled; ++i) {
      const text::OcrCase& c = cases[i];
      Json messages = Json::array();
      if (const std::string& system = options.generation.system; !system.empty()) {
        messages.push_back({{"role", "system"}, {"content", system}});
      }
      messages.push_back({{"role", "user"}, {"content", content_with({{false, {c.image}}}, c.question)}});
      const Answer answer = responder.answer(
          messages, [](Part, std::string_view) {}, &interrupted());
      cancelled = answer.finish == engine::Finish::cancelled;
      if (cancelled) break;
      const bool hit = eval::ocr_hit(c, answer.content);
      score_of(types, c.type).add(hit);
      score_of(groups, eval::ocr_group(c.type)).add(hit);
      all.add(hit);
      list[i]["predict"] = answer.content;
      list[i]["result"] = hit ? 1 : 0;
      if (options.wrong && !hit) {
        fmt::print(stderr, "{}: \"{}\" is not in \"{}\"\n", c.image.string(), printable(c.answers[0], 60),
                   printable(answer.content, 100));
      }
      progress.update(static_cast<int64_t>(i) + 1);
    }
  }
  progress.finish();
  if (cancelled) die_of_interrupt();
  if (!options.output.empty()) write_file_atomically(options.output, to_text(list, 1) + "\n");
  if (options.json) {
    fmt::print("{}\n", to_text({{"model", options.model.model},
                                {"data", options.data},
                                {"engine", responder.engine_name()},
                                {"compute", compute_name(responder.engine().compute())},
                                {"max_tokens", options.generation.max_tokens},
                                {"types", to_json(types)},
                                {"groups", to_json(groups)},
                                {"all", to_json(all)}}));
    return;
  }
  print_head();
  for (const Score& s : types) print(s);
  for (const Score& s : groups) {
    if (s.name == "Text Recognition") print(s);  // the others are types, too
  }
  print(all);
}

}  // namespace

void add_eval_ocrbench(CLI::App& eval) {
  auto options = std::make_shared<OcrOptions>();
  options->generation.max_tokens = 100;
  options->generation.think = "off";
  CLI::App* command = eval.add_subcommand("ocrbench", "Questions about text in pictures, scored by OCRBench's rule");
  add_model_argument(*command, options->model);
  command->add_option("--data", options->data, "OCRBench.json, or another file of its format; pictures lie beside it")
      ->type_name("FILE")
      ->required();
  command->add_option("--limit", options->limit, "Only the first so many questions")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30));
  command->add_option("-n,--max-tokens", options->generation.max_tokens, "Tokens of an answer at most")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  command->add_option("--system", options->generation.system, "System message");
  command->add_option("--think", options->generation.think, "on, off, or auto")
      ->check(CLI::IsMember({"on", "off", "auto"}))
      ->capture_default_str();
  add_pixel_options(*command, options->generation.images);
  add_engine_options(*command, options->model);
  command->add_option("-o,--output", options->output, "Write the cases with \"predict\" and \"result\" to this file")
      ->type_name("FILE");
  command->add_flag("--wrong", options->wrong, "Show the answers that are not hits on stderr");
  command->add_flag("--json", options->json, "One JSON object");
  command->footer(
      "Greedy. A hit: an answer is a part of the prediction, case aside (of formulas, HME100k: spaces aside).\n"
      "Examples: duan eval ocrbench demo --data models/demo/ocr/ocr.json --wrong\n"
      "          duan eval ocrbench Qwen3-VL-2B --data OCRBench/OCRBench.json -o predictions.json");
  command->callback([options] { ocrbench(*options); });
}

}  // namespace duan::cli
