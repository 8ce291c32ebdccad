#include "text/tokenizer_file.h"

#include <charconv>
#include <unordered_set>

#include "base/error.h"
#include "base/utf8.h"
#include "text/pretokenize.h"

namespace duan::text {
namespace {

constexpr size_t kMaxFileBytes = 256u << 20;
constexpr int kMaxDepth = 64;

void add_merge(TokenizerFile& file, std::string_view merge, const std::string& where) {
  const size_t space = merge.find(' ');
  if (space == std::string_view::npos || space == 0 || space + 1 == merge.size() ||
      merge.find(' ', space + 1) != std::string_view::npos) {
    throw Error(fmt::format("merge {} is \"{}\", expected two parts with one space between them",
                            file.merges.size() / 2, printable(merge, 60)),
                where);
  }
  file.merges.push_back(merge.substr(0, space));
  file.merges.push_back(merge.substr(space + 1));
}

// Reads vocabulary and merges, hundreds of thousands of values, straight into lists; builds a document of the rest.
class Reader final : public nlohmann::json_sax<Json> {
 public:
  // `whole_is_vocab`: the document is what model.vocab would be in a tokenizer.json.
  Reader(TokenizerFile& file, bool whole_is_vocab) : file_(file), whole_is_vocab_(whole_is_vocab) {}

  bool null() override { return scalar(Json(nullptr)); }
  bool boolean(bool v) override { return scalar(Json(v)); }
  bool number_float(number_float_t v, const string_t&) override { return scalar(Json(v)); }
  bool binary(binary_t&) override { return false; }
  bool number_integer(number_integer_t v) override { return place_ == Place::vocab ? id(v) : scalar(Json(v)); }
  bool number_unsigned(number_unsigned_t v) override {
    if (place_ != Place::vocab) return scalar(Json(v));
    return id(v > INT64_MAX ? INT64_MAX : static_cast<int64_t>(v));
  }
  bool string(string_t& v) override {
    if (place_ == Place::merges) {
      add_merge(file_, v, file_.where);
      return true;
    }
    if (place_ == Place::merge) {
      file_.merges.push_back(v);
      ++parts_;
      return true;
    }
    return scalar(Json(std::move(v)));
  }
  bool key(string_t& k) override {
    if (place_ == Place::vocab) {
      file_.vocab.push_back(k);
      return true;
    }
    Level& top = stack_.back();
    if (!top.keys.insert(k).second) throw Error(fmt::format("duplicate key \"{}\"", printable(k)), file_.where);
    top.key = std::move(k);
    return true;
  }
  bool start_object(std::size_t) override {
    if (place_ != Place::settings) refuse("an object");
    if (whole_is_vocab_ ? stack_.empty() : in_model("vocab")) {
      place_ = Place::vocab;
      file_.has_vocab = true;
      return true;
    }
    return open(Json::object());
  }
  bool start_array(std::size_t) override {
    if (place_ == Place::merges) {
      place_ = Place::merge;
      parts_ = 0;
      return true;
    }
    if (place_ != Place::settings) refuse("an array");
    if (in_model("merges")) {
      place_ = Place::merges;
      file_.has_merges = true;
      return true;
    }
    return open(Json::array());
  }
  bool end_object() override {
    if (place_ != Place::vocab) return close();
    place_ = Place::settings;
    return true;
  }
  bool end_array() override {
    if (place_ == Place::settings) return close();
    if (place_ == Place::merge && parts_ != 2) {
      throw Error(fmt::format("merge {} has {} parts, expected 2", (file_.merges.size() - parts_) / 2, parts_),
                  file_.where);
    }
    place_ = place_ == Place::merge ? Place::merges : Place::settings;
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& e) override {
    std::string what = e.what();
    if (const size_t end = what.find("] "); end != std::string::npos) what = what.substr(end + 2);
    throw Error("not valid JSON: " + printable(what, 300), file_.where);
  }

 private:
  enum class Place { settings, vocab, merges, merge };
  struct Level {
    Json value;
    std::string key;
    std::unordered_set<std::string> keys;
  };

  bool in_model(std::string_view key) const {
    return stack_.size() == 2 && stack_[0].key == "model" && stack_[1].key == key && stack_[1].value.is_object();
  }
  [[noreturn]] void refuse(const std::string& found) const {
    if (place_ == Place::vocab) {
      throw Error(fmt::format("model.vocab: the id of \"{}\" is {}, expected an integer",
                              printable(file_.vocab[file_.vocab.size() - 1], 60), found),
                  file_.where);
    }
    throw Error(fmt::format("merge {} is or holds {}, expected two strings", file_.merges.size() / 2, found),
                file_.where);
  }
  bool id(int64_t value) {
    file_.vocab_ids.push_back(value);
    return true;
  }
  bool scalar(Json value) {
    if (place_ != Place::settings) refuse(printable(to_text(value), 60));
    return add(std::move(value));
  }
  bool open(Json value) {
    if (stack_.size() >= kMaxDepth)
      throw Error(fmt::format("JSON nested deeper than {} levels", kMaxDepth), file_.where);
    stack_.push_back({std::move(value), {}, {}});
    return true;
  }
  bool close() {
    Json done = std::move(stack_.back().value);
    stack_.pop_back();
    return add(std::move(done));
  }
  bool add(Json value) {
    if (stack_.empty()) {
      file_.settings = std::move(value);
    } else if (Level& top = stack_.back(); top.value.is_array()) {
      top.value.get_ref<Json::array_t&>().push_back(std::move(value));
    } else {
      top.value[top.key] = std::move(value);
    }
    return true;
  }

  TokenizerFile& file_;
  bool whole_is_vocab_;
  Place place_ = Place::settings;
  size_t parts_ = 0;  // of the merge being read
  std::vector<Level> stack_;
};

// Exactly the decimal digits of a number, as keys of added_tokens_decoder are.
int64_t id_from_key(const std::string& key, const std::string& where) {
  int64_t id = -1;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
  if (error != std::errc() || end != key.data() + key.size()) {
    throw Error(fmt::format("added_tokens_decoder has the key \"{}\", expected an id", printable(key, 60)), where);
  }
  return id;
}

TokenizerFile parse(std::string_view text, const std::string& where, bool whole_is_vocab) {
  if (text.size() > kMaxFileBytes) {
    throw Error(fmt::format("JSON of {} bytes, at most {} are read", text.size(), kMaxFileBytes), where);
  }
  TokenizerFile file;
  file.where = where;
  Reader reader(file, whole_is_vocab);
  Json::sax_parse(text.data(), text.data() + text.size(), &reader);
  return file;
}

}  // namespace

TokenizerFile parse_tokenizer_json(std::string_view text, const std::string& where) {
  TokenizerFile file = parse(text, where, false);
  if (!file.settings.is_object()) throw Error("not a tokenizer.json: expected an object", where);
  return file;
}

TokenizerFile read_vocab_and_merges(const std::filesystem::path& folder) {
  const std::string vocab_where = (folder / "vocab.json").string();
  TokenizerFile file = parse(read_file(folder / "vocab.json", kMaxFileBytes), vocab_where, true);
  if (!file.has_vocab) throw Error("expected an object of tokens and their ids", vocab_where);

  const std::string merges_where = (folder / "merges.txt").string();
  const std::string merges = read_file(folder / "merges.txt", kMaxFileBytes);
  if (!utf8::is_valid(merges)) throw Error("merges are not valid UTF-8", merges_where);
  file.has_merges = true;
  for (std::string_view rest = merges; !rest.empty();) {
    const size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("#version") || (line.empty() && rest.empty())) continue;
    add_merge(file, line, merges_where);
  }

  std::string tokenizer_class = "Qwen2Tokenizer";
  Json added = Json::array();
  if (const auto config_file = folder / "tokenizer_config.json"; std::filesystem::exists(config_file)) {
    const std::string where = config_file.string();
    const Json config = read_json(config_file);
    tokenizer_class = json_at<std::string>(config, "tokenizer_class", where);
    if (tokenizer_class.ends_with("Fast")) tokenizer_class.resize(tokenizer_class.size() - 4);
    for (const char* flag : {"add_bos_token", "add_eos_token", "add_prefix_space"}) {
      if (json_or<bool>(config, flag, false, where)) {
        throw Error(fmt::format("\"{}\" is true, which is not supported without a tokenizer.json", flag), where);
      }
    }
    const Json decoder = json_or<Json>(config, "added_tokens_decoder", Json::object(), where);
    if (!decoder.is_object()) throw Error("\"added_tokens_decoder\" is not an object", where);
    for (const auto& [key, token] : decoder.items()) {
      if (!token.is_object())
        throw Error(fmt::format("added_tokens_decoder \"{}\" is not an object", printable(key, 60)), where);
      Json entry = token;
      entry["id"] = id_from_key(key, where);
      added.push_back(std::move(entry));
    }
  }

  Json steps = Json::array();
  if (tokenizer_class == "Qwen2Tokenizer") {
    steps.push_back({{"type", "Split"}, {"pattern", {{"Regex", kQwenPattern}}}, {"behavior", "Isolated"}});
  } else if (tokenizer_class != "GPT2Tokenizer") {
    throw Error(
        fmt::format("tokenizer_class \"{}\" is not supported without a tokenizer.json; known are Qwen2Tokenizer "
                    "and GPT2Tokenizer",
                    printable(tokenizer_class, 60)),
        (folder / "tokenizer_config.json").string());
  }
  const bool qwen = tokenizer_class == "Qwen2Tokenizer";
  steps.push_back({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", !qwen}});
  file.settings["added_tokens"] = std::move(added);
  file.settings["normalizer"] = qwen ? Json{{"type", "NFC"}} : Json(nullptr);
  file.settings["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
  file.settings["decoder"] = {{"type", "ByteLevel"}};
  file.settings["model"]["type"] = "BPE";
  file.where = folder.string();
  return file;
}

}  // namespace duan::text
