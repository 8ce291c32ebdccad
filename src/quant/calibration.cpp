#include "quant/calibration.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <random>
#include <variant>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "text/chat_samples.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace duan::quant {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int64_t>;

constexpr const char* kHint =
    "a sample is {\"messages\": [...]}, {\"text\": \"...\"}, {\"input_ids\": [...]}, a string or a list of ids";

// What may become a sample, not yet ids unless it has them.
struct Candidate {
  std::variant<text::TemplateInput, std::string, Ids> content;
  std::string where;  // file, or file:line
};

class Reader {
 public:
  Reader(const CalibrationOptions& options, const fs::path& model, int64_t vocab)
      : options_(options), model_(model), vocab_(vocab) {}

  CalibrationSet load() {
    for (const fs::path& file : options_.files) read(file);
    // The choice must not depend on the order of files and lines: what is chosen from is sorted first.
    std::vector<std::pair<std::string, const Candidate*>> by_content;
    for (const Candidate& candidate : candidates_) by_content.emplace_back(key(candidate), &candidate);
    std::sort(by_content.begin(), by_content.end(), [](const auto& a, const auto& b) { return a.first < b.first; });

    CalibrationSet set;
    std::mt19937_64 random(options_.seed);
    const auto wanted = static_cast<size_t>(options_.samples);
    for (size_t i = 0; i < by_content.size() && set.samples.size() < wanted; ++i) {
      std::swap(by_content[i], by_content[i + random() % (by_content.size() - i)]);
      Ids ids = ids_of(*by_content[i].second);
      if (!ids.empty()) set.samples.push_back(std::move(ids));
    }
    if (set.samples.empty()) {
      std::vector<std::string> names;
      for (const fs::path& file : options_.files) names.push_back(file.string());
      throw Error(fmt::format("no usable sample in {}", fmt::join(names, ", ")), "--calibration", kHint);
    }
    if (set.samples.size() < wanted) {
      warn("--calibration: {} samples, fewer than the {} asked for", set.samples.size(), wanted);
    }
    std::sort(set.samples.begin(), set.samples.end());
    return set;
  }

 private:
  // ---- files

  void read(const fs::path& file) {
    const std::string ending = file.extension().string();
    if (ending == ".jsonl") {
      text::for_each_sample_line(file, [&](const Json& sample, const std::string& where) { add(sample, where); });
    } else if (ending == ".json") {
      read_document(file);
    } else if (ending == ".txt") {
      cut(tokenizer().encode(read_file(file, text::kMaxSampleFileBytes), false), file.string());
    } else {
      throw Error("is not a kind of file that holds samples", file.string(), "expected .jsonl, .json or .txt");
    }
  }

  void read_document(const fs::path& file) {
    const Json json = read_json(file, {.max_bytes = text::kMaxSampleFileBytes});
    if (!json.is_array()) throw Error("is not a list of samples", file.string(), kHint);
    if (!json.empty() && json[0].is_number()) {
      cut(checked_ids(json, file.string()), file.string());
      return;
    }
    for (size_t i = 0; i < json.size(); ++i) add(json[i], fmt::format("{}, sample {}", file.string(), i + 1));
  }

  // One long text as pieces; a remainder shorter than half a piece says too little.
  void cut(const Ids& ids, const std::string& where) {
    const auto size = static_cast<size_t>(options_.tokens);
    for (size_t at = 0; at < ids.size(); at += size) {
      const size_t count = std::min(size, ids.size() - at);
      if (at > 0 && count < (size + 1) / 2) break;
      const auto first = ids.begin() + static_cast<std::ptrdiff_t>(at);
      candidates_.push_back({Ids(first, first + static_cast<std::ptrdiff_t>(count)), where});
    }
  }

  // ---- samples

  void add(const Json& sample, const std::string& where) {
    if (sample.is_string()) {
      candidates_.push_back({sample.get<std::string>(), where});
    } else if (sample.is_array()) {
      candidates_.push_back({checked_ids(sample, where), where});
    } else if (!sample.is_object()) {
      throw Error(fmt::format("the sample is {}", printable(to_text(sample), 60)), where, kHint);
    } else if (sample.contains("messages")) {
      candidates_.push_back({text::conversation_of(sample, where), where});
    } else if (sample.contains("text")) {
      candidates_.push_back({json_at<std::string>(sample, "text", where), where});
    } else if (sample.contains("input_ids")) {
      candidates_.push_back({checked_ids(sample["input_ids"], where), where});
    } else {
      throw Error("has none of \"messages\", \"text\" and \"input_ids\"", where, kHint);
    }
  }

  Ids checked_ids(const Json& list, const std::string& where) const {
    if (!list.is_array()) throw Error("the ids are not a list", where, kHint);
    Ids ids;
    ids.reserve(list.size());
    for (const Json& id : list) {
      const bool valid = id.is_number_integer() && id >= 0 && id < vocab_;
      if (!valid) {
        throw Error(fmt::format("{} is not a token id in [0, {})", printable(to_text(id), 40), vocab_), where);
      }
      ids.push_back(id.get<int64_t>());
    }
    return ids;
  }

  Ids ids_of(const Candidate& candidate) {
    Ids ids;
    if (const auto* text = std::get_if<std::string>(&candidate.content)) {
      ids = tokenizer().encode(*text, false);
    } else if (const auto* conversation = std::get_if<text::TemplateInput>(&candidate.content)) {
      if (!conversation->messages.empty()) ids = tokenizer().encode(rendered(*conversation, candidate.where), false);
    } else {
      ids = std::get<Ids>(candidate.content);
    }
    ids.resize(std::min(ids.size(), static_cast<size_t>(options_.tokens)));
    for (const int64_t id : ids) {
      if (id >= vocab_) {
        throw Error(fmt::format("its tokenizer gives id {}, the model has {} rows", id, vocab_), model_.string(),
                    "the tokenizer may belong to another model");
      }
    }
    return ids;
  }

  std::string rendered(const text::TemplateInput& conversation, const std::string& where) {
    if (!template_) template_ = text::ChatTemplate::load(model_);
    try {
      return template_->render(conversation);
    } catch (const Error& e) {
      throw text::refused_by_template(e, where);
    }
  }

  const text::Tokenizer& tokenizer() {
    if (!tokenizer_) tokenizer_ = text::Tokenizer::load(model_);
    return *tokenizer_;
  }

  static std::string key(const Candidate& candidate) {
    struct Key {
      std::string operator()(const text::TemplateInput& c) const {
        return "c" + to_text(c.messages) + to_text(c.tools);
      }
      std::string operator()(const std::string& text) const { return "t" + text; }
      std::string operator()(const Ids& ids) const { return fmt::format("i{}", fmt::join(ids, ",")); }
    };
    return std::visit(Key{}, candidate.content);
  }

  const CalibrationOptions& options_;
  fs::path model_;
  int64_t vocab_;
  std::vector<Candidate> candidates_;
  std::optional<text::Tokenizer> tokenizer_;  // loaded when the first text needs them
  std::optional<text::ChatTemplate> template_;
};

}  // namespace

int64_t CalibrationSet::tokens() const {
  int64_t count = 0;
  for (const Ids& sample : samples) count += static_cast<int64_t>(sample.size());
  return count;
}

CalibrationSet load_calibration(const CalibrationOptions& options, const fs::path& model_folder, int64_t vocab) {
  DUAN_CHECK(options.samples > 0 && options.tokens > 0, "{} samples of {} tokens", options.samples, options.tokens);
  if (options.files.empty()) throw Error("no file is given", "--calibration", "name a .jsonl, .json or .txt file");
  return Reader(options, model_folder, vocab).load();
}

}  // namespace duan::quant
