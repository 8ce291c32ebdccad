// duan run: one prompt, one answer.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/commands.h"
#include "cli/conversation.h"
#include "cli/image_prompt.h"
#include "cli/lines.h"
#include "cli/responder.h"
#include "cli/terminal.h"
#include "engine/memory.h"

namespace duan::cli {
namespace {

struct RunOptions {
  ModelOptions model;
  GenerationFlags generation;
  std::string prompt, file, ids, messages;
  bool raw = false, json = false;
};

// From the command line, a file and stdin, in this order. Usage error if there
// is none.
std::string prompt_of(const RunOptions& options) {
  std::string prompt = options.file.empty() ? options.prompt : read_file(options.file, kMaxInputBytes);
  if (stdin_is_given()) {
    const std::string piped = read_stdin();
    if (!prompt.empty() && !piped.empty()) prompt += "\n\n";
    prompt += piped;
  }
  if (!options.raw) {
    while (prompt.ends_with('\n')) prompt.pop_back();
  }
  if (prompt.empty()) {
    throw CLI::ValidationError("prompt", "there is none; give a text, -f FILE, or stdin (duan chat converses)");
  }
  return prompt;
}

Json to_json(const RunOptions& options, const Answer& answer, const Responder& responder) {
  Json json = {{"model", options.model.model}, {"prompt_ids", answer.prompt_ids}, {"ids", answer.ids}};
  if (options.ids.empty()) json["text"] = answer.content;
  if (!answer.reasoning.empty()) json["reasoning"] = answer.reasoning;
  json["finish_reason"] = std::string(engine::finish_name(answer.finish));
  json["seed"] = answer.seed;
  json["engine"] = responder.engine_name();
  json["timings"] = timings_json(answer, responder);
  json["peak_rss_bytes"] = engine::peak_resident();
  return json;
}

void run(const RunOptions& options) {
  using Input = Responder::Input;
  const Input input = !options.ids.empty() ? Input::ids : options.raw ? Input::text : Input::conversation;
  if (input != Input::conversation && !options.generation.system.empty()) {
    throw CLI::ValidationError("--system", "needs a chat template: not with --raw or --ids");
  }
  if (input == Input::ids && !options.generation.stop_strings.empty()) {
    throw CLI::ValidationError("--stop", "needs text: with --ids there is --stop-ids");
  }
  const ImageOptions& images = options.generation.images;
  if (input != Input::conversation && (!images.images.empty() || !images.video_frames.empty())) {
    throw CLI::ValidationError("--image", "needs a chat template: not with --raw or --ids");
  }
  const bool prompted = input != Input::ids && options.messages.empty();
  const std::string prompt = prompted ? prompt_of(options) : "";
  Responder responder(options.model, options.generation, input);

  AnswerPrinter printer(AnswerPrinter::style_for_stdout(options.generation.think == "on"));
  const auto show = [&](Part part, std::string_view text) {
    if (!options.json) print_now(printer.piece(part, text));
  };
  Answer answer;
  {
    Interruptible interruptible;
    if (input == Input::ids) {
      answer = responder.continue_ids(parse_ids(options.ids, "--ids"), &interrupted());
    } else if (input == Input::text) {
      answer = responder.continue_text(prompt, show, &interrupted());
    } else {
      Conversation conversation;
      if (!options.messages.empty()) conversation.load(options.messages);
      if (const std::string& system = options.generation.system; !system.empty()) conversation.set_system(system);
      if (prompted) conversation.add_user(content_with(pictures_of(images), prompt));
      answer = responder.answer(conversation.messages(), show, &interrupted());
    }
  }
  if (options.json) {
    print_now(to_text(to_json(options, answer, responder)) + "\n");
  } else if (input == Input::ids) {
    print_now(fmt::format("{}\n", fmt::join(answer.ids, ",")));
  } else {
    print_now(printer.finish());
  }
  if (options.generation.stats) print_stats(answer, responder);
  if (answer.finish == engine::Finish::cancelled) die_of_interrupt();
}

}  // namespace

void add_run(CLI::App& app) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command = app.add_subcommand("run", "Answer one prompt");
  add_model_argument(*command, options->model);
  auto* prompt =
      command->add_option("prompt,-p,--prompt", options->prompt, "What to answer; what stdin has follows it");
  auto* file = command->add_option("-f,--file", options->file, "Read the prompt from a file")->excludes(prompt);
  command
      ->add_option("--messages", options->messages,
                   "Answer the conversation in a file: {\"messages\": [...]}, images as parts of a content")
      ->type_name("FILE")
      ->excludes(prompt, file);
  auto* raw = command->add_flag("--raw", options->raw, "Continue the text as it is, without the chat template");
  command->add_option("--ids", options->ids, "Continue token ids: 1,2,3; prints ids, needs no tokenizer")
      ->excludes(prompt, file, raw);
  command->add_flag("--json", options->json, "One JSON object: text, ids, finish_reason, timings, ...");
  add_generation_flags(*command, options->generation);
  add_engine_options(*command, options->model);
  command->footer(
      "Examples: duan run demo \"hello\"\n"
      "          duan run Qwen3-1.7B -p \"Summarise this:\" --temp 0.7 --stats "
      "< article.txt\n"
      "          duan run Qwen3-1.7B --think off --json \"one plus one?\"\n"
      "          duan run Qwen3-VL-2B --image receipt.jpg \"What is the total?\"\n"
      "          duan run demo --raw \"Once upon a time\" -n 50 --stop \".\"\n"
      "Ctrl-C ends the answer early. In a loop that reads lines itself, add </dev/null: a piped stdin is read whole.");
  command->callback([options] { run(*options); });
}

}  // namespace duan::cli
