#include "cli/generation_flags.h"

#include <random>

#include "cli/model_options.h"

namespace duan::cli {

void add_generation_flags(CLI::App& command, GenerationFlags& f) {
  command
      .add_option("-n,--predict,--max-tokens", f.max_tokens,
                  "Tokens to generate at most (-1: until the context is full)")
      ->check(CLI::Range(int64_t{-1}, int64_t{1} << 40))
      ->capture_default_str();
  const std::string advised = " (default: the model's generation_config.json)";
  command.add_option("--temp,--temperature", f.temperature, "Temperature; 0 takes the most probable token" + advised);
  command.add_option("--top-k", f.top_k, "Sample among the k most probable, 0: all" + advised);
  command.add_option("--top-p", f.top_p, "Sample among the most probable that sum up to p" + advised);
  command.add_option("--min-p", f.min_p, "Leave out what is less probable than this part of the most probable");
  command.add_option("--repeat-penalty", f.repeat_penalty, "Divide the logits of tokens seen before by this" + advised);
  command.add_option("--presence-penalty", f.presence_penalty, "Subtract from the logits of tokens in the answer");
  command.add_option("--frequency-penalty", f.frequency_penalty, "The same, as often as the token is there");
  command.add_option("-s,--seed", f.seed,
                     "Seed of the sampling (default or negative: random; --stats and --json show it)");
  command.add_flag("--greedy", f.greedy, "Always the most probable token")->excludes("--temp");
  command
      .add_option("--stop", f.stop_strings,
                  "End the answer (not its thinking) before this text; may be given several times")
      ->allow_extra_args(false)
      ->type_name("TEXT");
  command.add_option("--stop-ids", f.stop_ids, "End the answer at these token ids too: 1,2,3");
  command.add_flag("--ignore-eos", f.ignore_eos, "Go on where the model would end its answer");
  command.add_option("--system", f.system, "System message");
  command.add_option("--think", f.think, "on, off, or auto: whether a model that can think before it answers does")
      ->check(CLI::IsMember({"on", "off", "auto"}))
      ->capture_default_str();
  add_image_options(command, f.images);
  command.add_flag("--stats", f.stats, "Speed and memory on stderr");
}

engine::Sampling sampling_of(const GenerationFlags& flags, const checkpoint::GenerationConfig& advice) {
  engine::Sampling s;
  if (advice.do_sample.value_or(false)) s.temperature = advice.temperature.value_or(1);
  s.temperature = flags.greedy ? 0 : flags.temperature.value_or(s.temperature);
  s.top_k = flags.top_k.value_or(advice.top_k.value_or(s.top_k));
  s.top_p = flags.top_p.value_or(advice.top_p.value_or(s.top_p));
  s.min_p = flags.min_p.value_or(advice.min_p.value_or(s.min_p));
  s.repetition_penalty = flags.repeat_penalty.value_or(advice.repetition_penalty.value_or(s.repetition_penalty));
  s.presence_penalty = flags.presence_penalty.value_or(s.presence_penalty);
  s.frequency_penalty = flags.frequency_penalty.value_or(s.frequency_penalty);
  // 32 bits survive every JSON reader.
  s.seed = flags.seed && *flags.seed >= 0 ? static_cast<uint64_t>(*flags.seed) : std::random_device()();
  engine::check(s);
  return s;
}

std::vector<int64_t> stop_ids_of(const GenerationFlags& flags, const checkpoint::GenerationConfig& advice) {
  std::vector<int64_t> ids = parse_ids(flags.stop_ids, "--stop-ids");
  if (!flags.ignore_eos) ids.insert(ids.end(), advice.eos_token_ids.begin(), advice.eos_token_ids.end());
  return ids;
}

}  // namespace duan::cli
