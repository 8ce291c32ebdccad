#include "cli/held_out.h"

#include <algorithm>

#include "base/error.h"
#include "cli/eval_kl.h"
#include "cli/model_options.h"

namespace duan::cli {

HeldOut::HeldOut(const std::string& file, const models::Model& model)
    : name_(std::filesystem::path(file).filename().string()) {
  SequenceOptions options;
  const std::string ending = std::filesystem::path(file).extension().string();
  if (ending == ".txt") {
    options.text_file = file;
  } else if (ending == ".jsonl") {
    options.chat_file = file;
  } else if (ending == ".json") {
    options.ids_file = file;
  } else {
    throw Error("is not a kind of file that a model is evaluated on", file,
                "expected .txt, .jsonl (dialogues) or .json (token ids)");
  }
  const int64_t positions = model.config.max_position_embeddings;
  sequences_ = read_sequences(options, model.folder, std::min(positions, kDefaultContext));
  try {
    eval::check_sequences(sequences_.ids, sequences_.predicted, model.config.vocab_size, positions);
  } catch (const Error& e) {
    throw Error(e.message(), file);
  }
}

Json HeldOut::evaluate(const models::Model& source, const std::filesystem::path& output, int threads,
                       const std::function<void(int64_t, int64_t)>& progress) const {
  const models::Model written = models::Model::open(output);
  engine::Options options;
  options.threads = threads;
  options.compute = engine::Compute::fp32;
  for (const auto& ids : sequences_.ids) options.context = std::max(options.context, static_cast<int64_t>(ids.size()));
  const auto engine = engine::make_native(written.graph, written.checkpoint, options),
             reference = engine::make_native(source.graph, source.checkpoint, options);
  const int64_t total = sequences_.predicted_tokens();
  Json json = divergence_json(eval::divergence(
      *engine, *reference, sequences_.ids, [&](int64_t done) { progress(done, total); }, sequences_.predicted));
  json["file"] = name_;
  json["sequences"] = sequences_.ids.size();
  json["compute"] = compute_name(options.compute);
  return json;
}

}  // namespace duan::cli
