#include "quant/calibration.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <variant>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "quant/token_id_file.h"
#include "text/chat_samples.h"
#include "text/chat_template.h"
#include "text/ocr_cases.h"
#include "text/tokenizer.h"

namespace duan::quant {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<int64_t>;

constexpr const char* kHint =
    "a sample is {\"messages\": [...]}, {\"text\": \"...\"}, {\"input_ids\": [...]}, a string or a list of ids";
constexpr const char* kCut = "--tokens makes samples longer, --max-pixels pictures smaller";

// What may become a sample, not yet ids unless it has them.
struct Candidate {
  std::variant<text::TemplateInput, std::string, Ids> content;
  std::string where;                      // file, or file:line
  fs::path folder{};                      // that pictures are named in
  std::vector<fs::path> picture_files{};  // of a conversation
};

struct Sample {
  Ids ids;
  std::vector<PictureReader::Placed> pictures{};

  // What samples are ordered by.
  std::pair<Ids, std::vector<uint64_t>> content() const {
    std::vector<uint64_t> digests;
    for (const auto& picture : pictures) digests.push_back(picture.digest);
    return {ids, digests};
  }
};

class Reader {
 public:
  Reader(const CalibrationOptions& options, const fs::path& model, int64_t vocab, PictureReader* pictures)
      : options_(options), model_(model), vocab_(vocab), pictures_(pictures) {}

  CalibrationSet load() {
    for (const fs::path& file : options_.files) read(file);
    // The choice must not depend on the order of files and lines: what is chosen from is sorted first.
    std::vector<std::pair<std::string, const Candidate*>> by_content;
    for (const Candidate& candidate : candidates_) by_content.emplace_back(key(candidate), &candidate);
    std::sort(by_content.begin(), by_content.end(), [](const auto& a, const auto& b) { return a.first < b.first; });

    std::vector<Sample> samples;
    std::mt19937_64 random(options_.seed);
    const auto wanted = static_cast<size_t>(options_.samples);
    for (size_t i = 0; i < by_content.size() && samples.size() < wanted; ++i) {
      std::swap(by_content[i], by_content[i + random() % (by_content.size() - i)]);
      Sample sample = sample_of(*by_content[i].second);
      if (!sample.ids.empty()) samples.push_back(std::move(sample));
    }
    if (samples.empty()) {
      std::vector<std::string> names;
      for (const fs::path& file : options_.files) names.push_back(file.string());
      throw Error(fmt::format("no usable sample in {}", fmt::join(names, ", ")), "--calibration", kHint);
    }
    if (samples.size() < wanted) {
      warn("--calibration: {} samples, fewer than the {} asked for", samples.size(), wanted);
    }
    if (cut_ > 0) warn("--calibration: {} of {} samples end within a picture; {}", cut_, samples.size(), kCut);
    std::stable_sort(samples.begin(), samples.end(),
                     [](const Sample& a, const Sample& b) { return a.content() < b.content(); });
    return set_of(std::move(samples));
  }

 private:
  // ---- files

  void read(const fs::path& file) {
    const std::string ending = file.extension().string();
    if (ending == ".jsonl") {
      text::for_each_sample_line(
          file, [&](const Json& sample, const std::string& where) { add(sample, where, file.parent_path()); });
    } else if (ending == ".json") {
      read_document(file);
    } else if (ending == ".txt") {
      cut(tokenizer().encode(read_file(file, text::kMaxSampleFileBytes), false), file.string());
    } else if (ending == ".safetensors") {
      TokenIdFile ids = read_token_ids(file, vocab_);
      if (ids.flat) return cut(ids.rows.at(0), file.string());
      for (size_t i = 0; i < ids.rows.size(); ++i) {
        candidates_.push_back({std::move(ids.rows[i]), fmt::format("{}, row {}", file.string(), i)});
      }
    } else {
      throw Error("is not a kind of file that holds samples", file.string(),
                  "expected .jsonl, .json, .txt or .safetensors");
    }
  }

  void read_document(const fs::path& file) {
    const Json json = read_json(file, {.max_bytes = text::kMaxSampleFileBytes});
    if (!json.is_array()) throw Error("is not a list of samples", file.string(), kHint);
    if (!json.empty() && json[0].is_number()) {
      cut(checked_ids(json, file.string()), file.string());
      return;
    }
    if (!json.empty() && json[0].is_object() && json[0].contains("image_path")) {
      const std::vector<text::OcrCase> cases = text::read_ocr_cases(json, file);
      for (size_t i = 0; i < cases.size(); ++i) {
        // Named as it is written there: where the folder lies must not decide which samples are taken.
        const Json picture = {{"type", "image"}, {"image", json[i].at("image_path")}},
                   question = {{"type", "text"}, {"text", cases[i].question}};
        const Json messages = {{{"role", "user"}, {"content", {picture, question}}},
                               {{"role", "assistant"}, {"content", cases[i].answers.front()}}};
        add({{"messages", messages}}, fmt::format("{}: case {}", file.string(), i), file.parent_path());
      }
      return;
    }
    for (size_t i = 0; i < json.size(); ++i) {
      add(json[i], fmt::format("{}, sample {}", file.string(), i + 1), file.parent_path());
    }
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

  void add(const Json& sample, const std::string& where, const fs::path& folder) {
    if (sample.is_string()) {
      candidates_.push_back({sample.get<std::string>(), where});
    } else if (sample.is_array()) {
      candidates_.push_back({checked_ids(sample, where), where});
    } else if (!sample.is_object()) {
      throw Error(fmt::format("the sample is {}", printable(to_text(sample), 60)), where, kHint);
    } else if (sample.contains("messages")) {
      Candidate candidate{text::conversation_of(sample, where), where, folder};
      if (pictures_ != nullptr) {
        const auto& conversation = std::get<text::TemplateInput>(candidate.content);
        candidate.picture_files = pictures_->files_of(conversation.messages, folder, where);
      }
      candidates_.push_back(std::move(candidate));
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

  Sample sample_of(const Candidate& candidate) {
    Sample sample;
    Ids& ids = sample.ids;
    if (const auto* text = std::get_if<std::string>(&candidate.content)) {
      ids = tokenizer().encode(*text, false);
    } else if (const auto* conversation = std::get_if<text::TemplateInput>(&candidate.content)) {
      if (!conversation->messages.empty()) ids = tokenizer().encode(rendered(*conversation, candidate.where), false);
    } else {
      ids = std::get<Ids>(candidate.content);
    }
    if (!candidate.picture_files.empty()) place_pictures(sample, candidate);
    ids.resize(std::min(ids.size(), static_cast<size_t>(options_.tokens)));
    for (const int64_t id : ids) {
      if (id >= vocab_) {
        throw Error(fmt::format("its tokenizer gives id {}, the model has {} rows", id, vocab_), model_.string(),
                    "the tokenizer may belong to another model");
      }
    }
    return sample;
  }

  void place_pictures(Sample& sample, const Candidate& candidate) {
    try {
      sample.pictures = pictures_->place(sample.ids, candidate.picture_files);
    } catch (const Error& e) {
      throw e.where().empty() ? e.at(candidate.where)
                              : Error(e.message(), candidate.where + ", picture " + e.where(), e.hint());
    }
    const auto ends_after = [&](const PictureReader::Placed& p) {
      return p.first < options_.tokens && p.first + p.rows * p.columns > options_.tokens;
    };
    if (std::any_of(sample.pictures.begin(), sample.pictures.end(), ends_after)) ++cut_;
    std::erase_if(sample.pictures, [&](const PictureReader::Placed& p) { return p.first >= options_.tokens; });
    for (PictureReader::Placed& picture : sample.pictures) where_.try_emplace(picture.digest, candidate.where);
  }

  CalibrationSet set_of(std::vector<Sample> samples) const {
    CalibrationSet set;
    std::map<uint64_t, std::shared_ptr<engine::ImageFeatures>> known;  // by digest
    for (Sample& sample : samples) {
      set.samples.push_back(std::move(sample.ids));
      std::vector<engine::SequenceImages::Image> images;
      for (const PictureReader::Placed& picture : sample.pictures) {
        auto& features = known[picture.digest];
        if (features == nullptr) {
          features = std::make_shared<engine::ImageFeatures>();
          features->rows = picture.rows;
          features->columns = picture.columns;
          set.pictures.push_back({picture.file, where_.at(picture.digest), picture.digest, features});
        }
        images.push_back({picture.first, features});
      }
      set.images.push_back(images.empty() ? nullptr
                                          : std::make_shared<const engine::SequenceImages>(std::move(images)));
    }
    if (set.pictures.empty()) set.images.clear();
    return set;
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
      const Candidate& candidate;
      std::string operator()(const text::TemplateInput& c) const {
        const std::string said = "c" + to_text(c.messages) + to_text(c.tools);
        return candidate.picture_files.empty() ? said : said + '\0' + candidate.folder.string();
      }
      std::string operator()(const std::string& text) const { return "t" + text; }
      std::string operator()(const Ids& ids) const { return fmt::format("i{}", fmt::join(ids, ",")); }
    };
    return std::visit(Key{candidate}, candidate.content);
  }

  const CalibrationOptions& options_;
  fs::path model_;
  int64_t vocab_;
  PictureReader* pictures_;
  std::vector<Candidate> candidates_;
  std::map<uint64_t, std::string> where_;     // of pictures, by digest
  size_t cut_ = 0;                            // samples that end within a picture
  std::optional<text::Tokenizer> tokenizer_;  // loaded when the first text needs them
  std::optional<text::ChatTemplate> template_;
};

}  // namespace

int64_t CalibrationSet::tokens() const {
  int64_t count = 0;
  for (const Ids& sample : samples) count += static_cast<int64_t>(sample.size());
  return count;
}

int64_t CalibrationSet::image_tokens() const {
  int64_t count = 0;
  for (size_t s = 0; s < images.size(); ++s) {
    if (images[s] == nullptr) continue;
    const auto end = static_cast<int64_t>(samples[s].size());
    for (const auto& image : images[s]->images()) count += std::min(image.features->tokens(), end - image.first);
  }
  return count;
}

std::vector<float> CalibrationSet::token_weights(double image) const {
  if (image == 1 || image_tokens() == 0) return {};
  std::vector<float> weights;
  for (size_t s = 0; s < samples.size(); ++s) {
    const size_t begin = weights.size();
    weights.resize(begin + samples[s].size(), 1.0f);
    if (images[s] == nullptr) continue;
    for (const auto& placed : images[s]->images()) {
      const size_t first = begin + static_cast<size_t>(placed.first);
      const size_t last = std::min(first + static_cast<size_t>(placed.features->tokens()), weights.size());
      std::fill(weights.begin() + static_cast<int64_t>(first), weights.begin() + static_cast<int64_t>(last),
                static_cast<float>(image));
    }
  }
  return weights;
}

const engine::SequenceImages* CalibrationSet::images_of(size_t sample) const {
  return images.empty() ? nullptr : images.at(sample).get();
}

std::string CalibrationSet::hash() const {
  uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  const auto add = [&](uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8) hash = (hash ^ (number >> shift & 0xFF)) * 0x100000001b3u;
  };
  for (size_t s = 0; s < samples.size(); ++s) {
    add(samples[s].size());
    for (const int64_t id : samples[s]) add(static_cast<uint64_t>(id));
    if (images_of(s) == nullptr) continue;
    for (const auto& image : images_of(s)->images()) {
      const auto picture =
          std::find_if(pictures.begin(), pictures.end(), [&](const auto& p) { return p.features == image.features; });
      DUAN_CHECK(picture != pictures.end(), "sample {} has a picture that is not the set's", s);
      add(picture->digest);
      add(static_cast<uint64_t>(image.first));
    }
  }
  return fmt::format("{:016x}", hash);
}

CalibrationPart part_of(const CalibrationSet& whole, int64_t tokens) {
  const int64_t all = whole.tokens(), wanted = tokens == 0 ? all : std::min(tokens, all);
  CalibrationPart part;
  int64_t seen = 0, taken = 0;
  for (size_t s = 0; s < whole.samples.size(); ++s) {
    const Ids& ids = whole.samples[s];
    // As much of what was seen as is wanted of all.
    if (static_cast<double>(taken) * static_cast<double>(all) <=
            static_cast<double>(wanted) * static_cast<double>(seen) &&
        taken < wanted) {
      part.set.samples.push_back(ids);
      if (!whole.images.empty()) part.set.images.push_back(whole.images[s]);
      part.firsts.push_back(seen);
      taken += static_cast<int64_t>(ids.size());
    }
    seen += static_cast<int64_t>(ids.size());
  }
  return part;
}

CalibrationSet load_calibration(const CalibrationOptions& options, const fs::path& model_folder, int64_t vocab,
                                PictureReader* reader) {
  DUAN_CHECK(options.samples > 0 && options.tokens > 0, "{} samples of {} tokens", options.samples, options.tokens);
  if (options.files.empty())
    throw Error("no file is given", "--calibration", "name a .jsonl, .json, .txt or .safetensors file");
  return Reader(options, model_folder, vocab, reader).load();
}

}  // namespace duan::quant
