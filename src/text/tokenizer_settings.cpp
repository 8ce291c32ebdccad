#include "text/tokenizer_settings.h"

#include <algorithm>
#include <unordered_set>

#include "base/error.h"
#include "text/bpe.h"

namespace duan::text {
namespace {

// A value of the document with its path, so that every error names the field.
struct Field {
  const Json* value;  // null if absent
  std::string path, where;

  [[noreturn]] void fail(const std::string& what) const { throw Error(path + ": " + what, where); }
  bool absent() const { return value == nullptr || value->is_null(); }

  Field at(const std::string& key) const {
    const auto it = value->find(key);
    return {it == value->end() ? nullptr : &*it, path + "." + key, where};
  }
  void expect_object() const {
    if (absent()) fail("missing, expected an object");
    if (!value->is_object()) fail(fmt::format("{}, expected an object", printable(to_text(*value), 60)));
  }
  std::vector<Field> items() const {
    if (absent()) fail("missing, expected a list");
    if (!value->is_array()) fail(fmt::format("{}, expected a list", printable(to_text(*value), 60)));
    std::vector<Field> all;
    for (size_t i = 0; i < value->size(); ++i) all.push_back({&(*value)[i], fmt::format("{}[{}]", path, i), where});
    return all;
  }
  std::string text() const {
    if (absent()) fail("missing, expected a string");
    if (!value->is_string()) fail(fmt::format("{}, expected a string", printable(to_text(*value), 60)));
    return value->get<std::string>();
  }
  bool flag(bool fallback) const {
    if (absent()) return fallback;
    if (!value->is_boolean()) fail(fmt::format("{}, expected true or false", printable(to_text(*value), 60)));
    return value->get<bool>();
  }
  int64_t id() const {
    if (absent()) fail("missing, expected an integer");
    const bool integer = value->is_number_integer();
    const bool small = integer && (!value->is_number_unsigned() || value->get<uint64_t>() <= kMaxTokenId);
    if (!small || value->get<int64_t>() < 0) {
      fail(fmt::format("{}, expected an integer from 0 to {}", printable(to_text(*value), 60), kMaxTokenId));
    }
    return value->get<int64_t>();
  }
  std::string type() const {
    expect_object();
    return at("type").text();
  }
  [[noreturn]] void unsupported(const std::string& found) const {
    fail(fmt::format("\"{}\" is not supported", printable(found, 60)));
  }
};

bool read_model(const Field& model) {
  if (const std::string type = model.type(); type != "BPE") model.at("type").unsupported(type);
  const Field dropout = model.at("dropout");
  if (!dropout.absent() && !(dropout.value->is_number() && dropout.value->get<double>() == 0.0)) {
    dropout.unsupported(to_text(*dropout.value));
  }
  if (const Field unk = model.at("unk_token"); !unk.absent()) unk.unsupported(to_text(*unk.value));
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (const Field affix = model.at(key); !affix.absent() && !affix.text().empty()) affix.unsupported(affix.text());
  }
  if (model.at("byte_fallback").flag(false)) model.at("byte_fallback").unsupported("true");
  return model.at("ignore_merges").flag(false);
}

bool read_normalizer(const Field& normalizer) {
  if (normalizer.absent()) return false;
  const std::string type = normalizer.type();
  if (type == "NFC") return true;
  if (type != "Sequence") normalizer.at("type").unsupported(type);
  bool nfc = false;
  for (const Field& step : normalizer.at("normalizers").items()) nfc = read_normalizer(step) || nfc;
  return nfc;
}

std::shared_ptr<const Splitter> read_split(const Field& split) {
  if (const std::string behavior = split.at("behavior").text(); behavior != "Isolated") {
    split.at("behavior").unsupported(behavior);
  }
  if (split.at("invert").flag(false)) split.at("invert").unsupported("true");
  const Field pattern = split.at("pattern");
  pattern.expect_object();
  if (const Field regex = pattern.at("Regex"); !regex.absent()) return regex_splitter(regex.text(), split.where);
  return literal_splitter(pattern.at("String").text(), split.where);
}

// Splits in any number, then ByteLevel, which every byte-level vocabulary needs.
Pretokenizer read_pretokenizer(const Field& field) {
  if (field.absent()) field.fail("missing, expected ByteLevel or a Sequence that ends with it");
  const std::vector<Field> steps =
      field.type() == "Sequence" ? field.at("pretokenizers").items() : std::vector<Field>{field};
  std::vector<std::shared_ptr<const Splitter>> splitters;
  bool byte_level = false;
  for (const Field& step : steps) {
    const std::string type = step.type();
    if (byte_level) step.fail(fmt::format("\"{}\" after ByteLevel is not supported", printable(type, 60)));
    if (type == "Split") {
      splitters.push_back(read_split(step));
    } else if (type == "ByteLevel") {
      if (step.at("add_prefix_space").flag(true)) step.at("add_prefix_space").unsupported("true");
      if (step.at("use_regex").flag(true)) splitters.push_back(regex_splitter(std::string(kGpt2Pattern), step.where));
      byte_level = true;
    } else {
      step.at("type").unsupported(type);
    }
  }
  if (!byte_level) field.fail("ByteLevel is missing; only byte-level vocabularies are supported");
  return Pretokenizer(std::move(splitters));
}

void read_template(const Field& processor, TokenizerSettings& out) {
  const Field specials = processor.at("special_tokens");
  bool text_seen = false;
  for (const Field& piece : processor.at("single").items()) {
    piece.expect_object();
    if (const Field sequence = piece.at("Sequence"); !sequence.absent()) {
      sequence.expect_object();
      if (const std::string id = sequence.at("id").text(); id != "A" || text_seen) sequence.at("id").unsupported(id);
      text_seen = true;
      continue;
    }
    const Field special = piece.at("SpecialToken");
    special.expect_object();
    specials.expect_object();
    const Field token = specials.at(special.at("id").text());
    token.expect_object();
    for (const Field& id : token.at("ids").items()) (text_seen ? out.suffix : out.prefix).push_back(id.id());
  }
  if (!text_seen) processor.at("single").fail("holds no Sequence A");
}

void read_post_processor(const Field& processor, TokenizerSettings& out) {
  if (processor.absent()) return;
  const std::string type = processor.type();
  if (type == "Sequence") {
    for (const Field& step : processor.at("processors").items()) read_post_processor(step, out);
  } else if (type == "TemplateProcessing") {
    if (!out.prefix.empty() || !out.suffix.empty()) processor.fail("a second TemplateProcessing is not supported");
    read_template(processor, out);
  } else if (type != "ByteLevel") {  // ByteLevel trims offsets, which nobody asks us for
    processor.at("type").unsupported(type);
  }
}

void check_decoder(const Field& decoder) {
  const std::string type = decoder.type();
  if (type == "Sequence") {
    const std::vector<Field> steps = decoder.at("decoders").items();
    if (steps.size() != 1) decoder.at("decoders").fail(fmt::format("{} steps, expected ByteLevel alone", steps.size()));
    return check_decoder(steps[0]);
  }
  if (type != "ByteLevel") decoder.at("type").unsupported(type);
}

std::vector<AddedToken> read_added_tokens(const Field& list) {
  std::vector<AddedToken> added;
  if (list.absent()) return added;
  std::unordered_set<int64_t> ids;
  std::unordered_set<std::string> contents;
  for (const Field& item : list.items()) {
    item.expect_object();
    AddedToken token{item.at("id").id(), item.at("content").text(), item.at("special").flag(false), false};
    token.normalized = item.at("normalized").flag(!token.special);
    if (token.content.empty()) item.at("content").fail("empty, expected at least one character");
    for (const char* key : {"lstrip", "rstrip", "single_word"}) {
      if (item.at(key).flag(false)) item.at(key).unsupported("true");
    }
    if (!ids.insert(token.id).second) item.at("id").fail(fmt::format("id {} is used twice", token.id));
    if (!contents.insert(token.content).second) {
      item.at("content").fail(fmt::format("duplicate content \"{}\"", printable(token.content, 60)));
    }
    added.push_back(std::move(token));
  }
  std::sort(added.begin(), added.end(), [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
  return added;
}

}  // namespace

TokenizerSettings read_settings(const Json& settings, const std::string& where) {
  const auto field = [&](const std::string& key) {
    const auto it = settings.find(key);
    return Field{it == settings.end() ? nullptr : &*it, key, where};
  };
  TokenizerSettings out;
  out.ignore_merges = read_model(field("model"));
  out.nfc = read_normalizer(field("normalizer"));
  out.pretokenizer = read_pretokenizer(field("pre_tokenizer"));
  read_post_processor(field("post_processor"), out);
  check_decoder(field("decoder"));
  out.added = read_added_tokens(field("added_tokens"));
  return out;
}

}  // namespace duan::text
