#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "base/json.h"
#include "support/paths.h"

namespace duan::text {
namespace {

using Ids = std::vector<int64_t>;

std::vector<Json> read_lines(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::vector<Json> cases;
  for (std::string line; std::getline(in, line);) cases.push_back(parse_json(line, file.string()));
  return cases;
}

std::string from_base64(const std::string& text) {
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const size_t value = std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/").find(c);
    if (value == std::string_view::npos) break;
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count >= 8) bytes += static_cast<char>(bits >> (count -= 8) & 0xFF);
  }
  return bytes;
}

// Every way of feeding `ids` to a StreamingDecoder is the same: one id at a time.
std::string stream(const Tokenizer& tokenizer, const Ids& ids, bool skip_special) {
  StreamingDecoder decoder(tokenizer, skip_special);
  std::string text;
  for (const int64_t id : ids) {
    const std::string piece = decoder.push(id);
    EXPECT_TRUE(utf8::is_valid(piece));
    text += piece;
  }
  return text + decoder.finish();
}

class TokenizerReference : public testing::TestWithParam<std::string> {
 protected:
  std::filesystem::path cases() const { return *test::reference_dir() / "golden/tokenizer/cases"; }
  // "vocab" stands for Qwen3-1.7B without its tokenizer.json.
  Tokenizer load() const {
    const auto root = *test::reference_dir() / "golden/tokenizer/hf";
    const std::string name = GetParam();
    if (!name.ends_with(" without tokenizer.json")) return Tokenizer::load(root / name);
    const auto from = root / name.substr(0, name.find(' '));
    for (const char* file : {"vocab.json", "merges.txt", "tokenizer_config.json"}) {
      std::filesystem::create_symlink(from / file, folder_.path() / file);
    }
    return Tokenizer::load(folder_.path());
  }
  test::TemporaryDir folder_;
};
INSTANTIATE_TEST_SUITE_P(Spellings, TokenizerReference,
                         testing::Values("Qwen3-1.7B", "Qwen3-VL-8B-Instruct", "Qwen3-1.7B without tokenizer.json",
                                         "Qwen3-VL-8B-Instruct without tokenizer.json"));

TEST_P(TokenizerReference, EncodesAndDecodesTheCasesOfTheLibrary) {
  DUAN_NEEDS_REFERENCE();
  const Tokenizer tokenizer = load();
  EXPECT_EQ(tokenizer.vocab_size(), 151669);
  EXPECT_EQ(tokenizer.added_tokens().size(), 26u);

  const std::vector<Json> encode = read_lines(cases() / "encode.jsonl");
  EXPECT_EQ(encode.size(), 2149u);
  for (const Json& c : encode) {
    ASSERT_EQ(tokenizer.encode(c["text"].get<std::string>()), c["ids"].get<Ids>()) << to_text(c);
  }
  const std::vector<Json> decode = read_lines(cases() / "decode.jsonl");
  EXPECT_EQ(decode.size(), 400u);
  for (const Json& c : decode) {
    const Ids ids = c["ids"].get<Ids>();
    ASSERT_EQ(tokenizer.decode(ids), c["text_keep_special"].get<std::string>());
    ASSERT_EQ(tokenizer.decode(ids, true), c["text_skip_special"].get<std::string>());
    ASSERT_EQ(stream(tokenizer, ids, false), c["text_keep_special"].get<std::string>());
    ASSERT_EQ(stream(tokenizer, ids, true), c["text_skip_special"].get<std::string>());
  }
  const std::vector<Json> invalid = read_lines(cases() / "invalid_utf8.jsonl");
  EXPECT_EQ(invalid.size(), 131u);
  for (const Json& c : invalid) {
    ASSERT_EQ(tokenizer.encode(from_base64(c["bytes_b64"])), c["ids"].get<Ids>()) << to_text(c);
  }
}

std::filesystem::path own(const std::string& name) { return test::data_dir() / "tokenizer" / name; }
Tokenizer load_own(const std::string& name) {
  const std::string file = own(name + ".json").string();
  return Tokenizer::from_json(read_file(file), file);
}

class TokenizerOwn : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Settings, TokenizerOwn, testing::Values("qwen", "llama3", "gpt2", "marks"));

TEST_P(TokenizerOwn, EncodesAndDecodesAsTheLibraryDoes) {
  const Tokenizer tokenizer = load_own(GetParam());
  int cases = 0;
  for (const Json& c : read_lines(own("cases.jsonl"))) {
    if (c["tokenizer"] != GetParam()) continue;
    ++cases;
    const Ids ids = c["ids"].get<Ids>();
    const std::string decoded = c["decoded"].get<std::string>();
    const std::string skipped = c.contains("skipped") ? c["skipped"].get<std::string>() : decoded;
    EXPECT_EQ(tokenizer.encode(c["text"].get<std::string>()), ids) << to_text(c);
    EXPECT_EQ(tokenizer.decode(ids), decoded);
    EXPECT_EQ(tokenizer.decode(ids, true), skipped);
    EXPECT_EQ(stream(tokenizer, ids, false), decoded);
    EXPECT_EQ(stream(tokenizer, ids, true), skipped);
  }
  EXPECT_GT(cases, 100);
}

// Writes vocab.json, merges.txt and tokenizer_config.json with what qwen.json holds.
void write_parts(const std::filesystem::path& folder, const std::string& merges_head, const std::string& line_end) {
  const Json file = read_json(own("qwen.json"));
  std::ofstream(folder / "vocab.json") << to_text(file["model"]["vocab"]);
  std::ofstream merges(folder / "merges.txt", std::ios::binary);
  merges << merges_head;
  for (const Json& merge : file["model"]["merges"]) {
    merges << merge[0].get<std::string>() << ' ' << merge[1].get<std::string>() << line_end;
  }
  Json config = {{"tokenizer_class", "Qwen2TokenizerFast"}, {"added_tokens_decoder", Json::object()}};
  for (Json token : file["added_tokens"]) {
    const std::string id = to_text(token["id"]);
    token.erase("id");
    config["added_tokens_decoder"][id] = token;
  }
  std::ofstream(folder / "tokenizer_config.json") << to_text(config);
}

TEST(Tokenizer, LoadsVocabJsonAndMergesTxtInAllTheirSpellings) {
  const Tokenizer expected = load_own("qwen");
  const std::vector<Json> cases = read_lines(own("cases.jsonl"));
  for (const auto& [head, line_end] :
       {std::pair("#version: 0.2\n", "\n"), std::pair("", "\n"), std::pair("#version: 0.2\r\n", "\r\n")}) {
    const test::TemporaryDir folder;
    write_parts(folder.path(), head, line_end);
    const Tokenizer tokenizer = Tokenizer::load(folder.path());
    EXPECT_EQ(tokenizer.vocab_size(), expected.vocab_size());
    for (const Json& c : cases) {
      const std::string text = c["text"].get<std::string>();
      ASSERT_EQ(tokenizer.encode(text), expected.encode(text));
    }
  }
}

TEST(Tokenizer, LoadsMergesWrittenAsStrings) {
  Json file = read_json(own("qwen.json"));
  for (Json& merge : file["model"]["merges"]) {
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  }
  const Tokenizer tokenizer = Tokenizer::from_json(to_text(file), "strings"), expected = load_own("qwen");
  for (const Json& c : read_lines(own("cases.jsonl"))) {
    ASSERT_EQ(tokenizer.encode(c["text"].get<std::string>()), expected.encode(c["text"].get<std::string>()));
  }
}

TEST(Tokenizer, NeverTakesUserTextForAddedTokens) {
  const Tokenizer tokenizer = load_own("qwen");
  for (const std::string text : {"<|end|>", "a<|start|>b", "<think>x</think>", "<|end|><|end|>"}) {
    const Ids ids = tokenizer.encode_plain(text);
    for (const int64_t id : ids) EXPECT_LT(id, 700) << text;
    EXPECT_EQ(tokenizer.decode(ids, true), text);
    EXPECT_NE(tokenizer.encode(text), ids);
  }
}

TEST(Tokenizer, PutsTokensAroundATextOnlyIfAsked) {
  const Tokenizer tokenizer = load_own("llama3");
  const Ids with = tokenizer.encode("the kettle"), without = tokenizer.encode("the kettle", false);
  ASSERT_EQ(with.size(), without.size() + 2);
  EXPECT_EQ(with.front(), tokenizer.id_of("<|start|>"));
  EXPECT_EQ(with.back(), tokenizer.id_of("<|end|>"));
  EXPECT_EQ(Ids(with.begin() + 1, with.end() - 1), without);
  EXPECT_EQ(tokenizer.encode_plain("the kettle"), without);
}

TEST(Tokenizer, AnswersQuestionsAboutTokens) {
  const Tokenizer tokenizer = load_own("qwen");
  EXPECT_EQ(tokenizer.vocab_size(), 706);
  EXPECT_EQ(tokenizer.added_tokens().size(), 6u);
  EXPECT_EQ(tokenizer.id_of("<|end|>"), 700);
  EXPECT_EQ(tokenizer.token_bytes(700), "<|end|>");
  EXPECT_TRUE(tokenizer.is_special(700));
  EXPECT_FALSE(tokenizer.is_special(*tokenizer.id_of("<think>")));
  EXPECT_EQ(tokenizer.token_bytes(*tokenizer.id_of(" the")), " the");
  EXPECT_EQ(tokenizer.id_of("no such token"), std::nullopt);
  EXPECT_EQ(tokenizer.id_of(""), std::nullopt);
  EXPECT_EQ(tokenizer.token_bytes(*tokenizer.id_of("\xE6")), "\xE6");
  for (const int64_t id : {int64_t{-1}, int64_t{706}, INT64_MAX, INT64_MIN}) {
    EXPECT_FALSE(tokenizer.has_token(id));
    EXPECT_FALSE(tokenizer.is_special(id));
    EXPECT_THROW(tokenizer.token_bytes(id), Error);
    EXPECT_THROW(tokenizer.decode(Ids{id}), Error);
    EXPECT_THROW(StreamingDecoder(tokenizer).push(id), Error);
  }
}

}  // namespace
}  // namespace duan::text
