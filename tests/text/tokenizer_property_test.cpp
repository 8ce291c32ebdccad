// Properties that hold for every text, on texts drawn at random with fixed seeds.
#include <gtest/gtest.h>
#include <utf8proc.h>

#include <ctime>
#include <random>
#include <thread>

#include "base/json.h"
#include "support/paths.h"
#include "text/pretokenize.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace duan::text {
namespace {

Tokenizer load(const std::string& name) {
  const auto file = test::data_dir() / "tokenizer" / (name + ".json");
  return Tokenizer::from_json(read_file(file), file.string());
}

// Code points up to Unicode 14, which all libraries at hand know.
constexpr std::pair<char32_t, char32_t> kBlocks[] = {
    {0x00, 0x7F},     {0x20, 0x7E},     {0x80, 0x24F},    {0x300, 0x36F},     {0x391, 0x3C9},     {0x410, 0x44F},
    {0x5D0, 0x5EA},   {0x620, 0x669},   {0x905, 0x939},   {0x93C, 0x94D},     {0xE01, 0xE3A},     {0x1100, 0x1112},
    {0x1161, 0x1175}, {0x11A8, 0x11C2}, {0x1E00, 0x1EFF}, {0x2000, 0x206F},   {0x2100, 0x214F},   {0x3000, 0x30FF},
    {0x4E00, 0x9FFF}, {0xAC00, 0xD7A3}, {0xF900, 0xFA6D}, {0x1F300, 0x1F64F}, {0x1D15E, 0x1D164}, {0x20000, 0x2A6DF}};

char32_t random_code(std::mt19937& random) {
  static constexpr char32_t kFavourites[] = {' ', '\n', '\r', '\t', '\'', 's',    'S',  0x17F,  'l',   'L',
                                             'e', '1',  '9',  '-',  0xA0, 0x3000, 0x85, 0x2028, 0x301, 0x323};
  if (random() % 2 == 0) return kFavourites[random() % std::size(kFavourites)];
  const auto [first, last] = kBlocks[random() % std::size(kBlocks)];
  return first + static_cast<char32_t>(random() % (last - first + 1));
}

std::string random_text(std::mt19937& random, size_t codes) {
  std::string text;
  for (size_t i = 0; i < codes; ++i) utf8::append(text, random_code(random));
  return text;
}

// NFC by utf8proc alone, without our shortcuts.
std::string whole_nfc(const std::string& text) {
  utf8proc_uint8_t* result = nullptr;
  const auto bytes =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &result, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  EXPECT_GE(bytes, 0);
  const std::string nfc(reinterpret_cast<const char*>(result), static_cast<size_t>(bytes));
  free(result);
  return nfc;
}

TEST(TokenizerProperty, DecodingGivesTheNormalizedText) {
  const Tokenizer qwen = load("qwen"), llama3 = load("llama3"), gpt2 = load("gpt2"), marks = load("marks");
  std::mt19937 random(11);
  for (int i = 0; i < 3000; ++i) {
    const std::string text = random_text(random, random() % 40);
    const std::string nfc = whole_nfc(text);
    for (const Tokenizer* tokenizer : {&qwen, &gpt2, &marks}) {
      ASSERT_EQ(tokenizer->decode(tokenizer->encode_plain(text)), nfc);
      ASSERT_EQ(tokenizer->decode(tokenizer->encode(text)), nfc);
    }
    ASSERT_EQ(llama3.decode(llama3.encode_plain(text)), text);
  }
}

TEST(TokenizerProperty, InvalidUtf8IsReplacedBeforeAnythingElse) {
  const Tokenizer tokenizer = load("qwen");
  std::mt19937 random(12);
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = random_text(random, random() % 12);
    for (int j = 0; j < 3; ++j) bytes.insert(random() % (bytes.size() + 1), 1, static_cast<char>(random()));
    ASSERT_EQ(tokenizer.encode(bytes), tokenizer.encode(utf8::replace_invalid(bytes)));
  }
}

TEST(TokenizerProperty, StreamingGivesWhatDecodingGives) {
  const Tokenizer tokenizer = load("qwen");
  std::mt19937 random(13);
  for (int i = 0; i < 2000; ++i) {
    std::vector<int64_t> ids(random() % 30);
    for (int64_t& id : ids) id = static_cast<int64_t>(random() % static_cast<uint32_t>(tokenizer.vocab_size()));
    for (const bool skip : {false, true}) {
      StreamingDecoder decoder(tokenizer, skip);
      std::string text;
      for (const int64_t id : ids) {
        const std::string piece = decoder.push(id);
        ASSERT_TRUE(utf8::is_valid(piece));
        text += piece;
      }
      ASSERT_EQ(text + decoder.finish(), tokenizer.decode(ids, skip));
      // Whatever was pushed before, a prefix finished early is the prefix decoded.
      StreamingDecoder early(tokenizer, skip);
      const size_t cut = ids.empty() ? 0 : random() % ids.size();
      std::string prefix;
      for (size_t j = 0; j < cut; ++j) prefix += early.push(ids[j]);
      ASSERT_EQ(prefix + early.finish(), tokenizer.decode(std::span(ids).first(cut), skip));
    }
  }
}

TEST(TokenizerProperty, LongPiecesAreEncodedAsShortOnesAre) {
  // With ignore_merges off, a piece longer than the limit of the short way takes the heap. The two agree if a long
  // text without boundaries equals itself cut where no merge crosses: before every "Z", which no merge contains.
  const Tokenizer tokenizer = load("qwen");
  std::mt19937 random(14);
  for (int i = 0; i < 300; ++i) {
    std::string joined;
    std::vector<int64_t> expected;
    while (joined.size() < 400) {
      std::string part = "Z";
      for (size_t j = random() % 60; j > 0; --j) part += "etaoinshrdlu"[random() % 12];
      joined += part;
      const auto ids = tokenizer.encode(part);
      expected.insert(expected.end(), ids.begin(), ids.end());
    }
    ASSERT_EQ(tokenizer.encode(joined), expected) << joined;
  }
}

TEST(TokenizerProperty, RepeatedWordsAreEncodedAsSingleOnesAre) {
  // A long text uses the word cache, a short one does not.
  const Tokenizer tokenizer = load("qwen");
  std::mt19937 random(15);
  std::string text;
  std::vector<int64_t> expected;
  for (int i = 0; i < 5000; ++i) {
    std::string word = " ";
    for (size_t j = 1 + random() % 16; j > 0; --j) word += "aehtkl"[random() % (1 + random() % 6)];
    text += word;
    const auto ids = tokenizer.encode(word);
    expected.insert(expected.end(), ids.begin(), ids.end());
  }
  EXPECT_EQ(tokenizer.encode(text), expected);
}

TEST(TokenizerProperty, ThreadsShareATokenizer) {
  const Tokenizer tokenizer = load("marks");  // by PCRE2
  std::mt19937 random(16);
  const std::string text = random_text(random, 3000);
  const auto expected = tokenizer.encode(text);
  std::vector<std::thread> threads;
  std::vector<int> equal(4, 0);
  for (int& result : equal) {
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) result += tokenizer.encode(text) == expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(equal, std::vector<int>(4, 5));
}

TEST(Pretokenize, ScannerAndPcre2FindTheSamePieces) {
  std::mt19937 random(17);
  for (const std::string_view pattern : {kQwenPattern, kLlama3Pattern}) {
    const auto scanner = regex_splitter(std::string(pattern), "scanner");
    const auto oracle = pcre2_splitter(std::string(pattern), "oracle");
    for (int i = 0; i < 4000; ++i) {
      const std::string text = random_text(random, 1 + random() % 30);
      std::vector<std::string> found, expected;
      scanner->split(text, [&](std::string_view piece) { found.emplace_back(piece); });
      oracle->split(text, [&](std::string_view piece) { expected.emplace_back(piece); });
      ASSERT_EQ(found, expected) << text;
    }
  }
}

TEST(Unicode, NfcIsThatOfTheWholeText) {
  std::mt19937 random(18);
  int changed = 0;
  for (int i = 0; i < 5000; ++i) {
    const std::string text = random_text(random, random() % 30);
    std::string buffer;
    const std::string_view nfc = to_nfc(text, buffer);
    ASSERT_EQ(nfc, whole_nfc(text));
    changed += nfc != text;
  }
  EXPECT_GT(changed, 500);
}

// Far above what it takes, far below what quadratic work would take (minutes).
TEST(TokenizerProperty, WordsOfAMegabyteTakeLessThanSeconds) {
  const Tokenizer tokenizer = load("qwen");
  for (const std::string part :
       {"a", " ", "the", "水", "'", "\n ", "\xCC\x81\xCC\xA3", "\xFF", "<|end", "\u1100\u1161"}) {
    std::string text;
    while (text.size() < 1 << 20) text += part;
    const std::clock_t begin = std::clock();  // of the processor: other tests run beside this one
    const auto ids = tokenizer.encode(text);
    const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    EXPECT_LT(seconds, 10) << part;
    EXPECT_GT(ids.size(), 1000u) << part;
  }
}

}  // namespace
}  // namespace duan::text
