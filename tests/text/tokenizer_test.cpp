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

}  // namespace
}  // namespace duan::text
