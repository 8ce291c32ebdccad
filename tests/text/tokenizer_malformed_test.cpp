// Broken and unsupported tokenizer files: each is refused in one line that names the file and the cause.
#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "base/error.h"
#include "base/json.h"
#include "support/paths.h"
#include "text/tokenizer.h"

namespace duan::text {
namespace {

const Json& good() {
  static const Json file = read_json(test::data_dir() / "tokenizer" / "qwen.json");
  return file;
}

void expect_refused(const std::function<Tokenizer()>& load, const std::string& file, const std::string& cause) {
  try {
    load();
    ADD_FAILURE() << "was accepted";
  } catch (const Error& e) {
    const std::string what = e.what();
    EXPECT_NE(what.find(file), std::string::npos) << what;
    EXPECT_NE(what.find(cause), std::string::npos) << what << "\n does not name: " << cause;
    EXPECT_EQ(what.find('\n'), std::string::npos) << what;
    EXPECT_LT(what.size(), 600u) << what;
  }
}

struct Mutation {
  const char* name;
  std::function<void(Json&)> change;
  const char* cause;
};

Json split(const std::string& regex) {
  return {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}};
}
Json byte_level() { return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}; }
void set_pattern(Json& file, const std::string& regex) { file["pre_tokenizer"]["pretokenizers"][0] = split(regex); }
void set_template(Json& file, const Json& single, const Json& specials) {
  file["post_processor"] = {{"type", "TemplateProcessing"}, {"single", single}, {"special_tokens", specials}};
}
Json begin_token(const Json& ids) { return {{"<b>", {{"id", "<b>"}, {"ids", ids}, {"tokens", {"<b>"}}}}}; }
const Json kText = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
const Json kBegin = {{"SpecialToken", {{"id", "<b>"}, {"type_id", 0}}}};

const std::vector<Mutation>& mutations() {
  static const std::vector<Mutation> all = {
      // the model
      {"ModelMissing", [](Json& f) { f.erase("model"); }, "model: missing"},
      {"ModelIsAList", [](Json& f) { f["model"] = Json::array(); }, "model: []"},
      {"TypeMissing", [](Json& f) { f["model"].erase("type"); }, "model.type: missing"},
      {"TypeIsANumber", [](Json& f) { f["model"]["type"] = 3; }, "model.type: 3"},
      {"WordPiece", [](Json& f) { f["model"]["type"] = "WordPiece"; }, "model.type: \"WordPiece\" is not supported"},
      {"Unigram",
       [](Json& f) {
         f["model"] = {{"type", "Unigram"}, {"vocab", Json::array({Json::array({"a", -1.5})})}, {"unk_id", 0}};
       },
       "model.type: \"Unigram\" is not supported"},
      {"Dropout", [](Json& f) { f["model"]["dropout"] = 0.1; }, "model.dropout"},
      {"DropoutIsText", [](Json& f) { f["model"]["dropout"] = "no"; }, "model.dropout"},
      {"UnkToken", [](Json& f) { f["model"]["unk_token"] = "<unk>"; }, "model.unk_token"},
      {"Prefix", [](Json& f) { f["model"]["continuing_subword_prefix"] = "##"; }, "model.continuing_subword_prefix"},
      {"PrefixIsANumber", [](Json& f) { f["model"]["continuing_subword_prefix"] = 1; },
       "model.continuing_subword_prefix: 1, expected a string"},
      {"Suffix", [](Json& f) { f["model"]["end_of_word_suffix"] = "</w>"; }, "model.end_of_word_suffix"},
      {"ByteFallback", [](Json& f) { f["model"]["byte_fallback"] = true; }, "model.byte_fallback"},
      {"ByteFallbackIsText", [](Json& f) { f["model"]["byte_fallback"] = "yes"; }, "model.byte_fallback"},
      {"IgnoreMergesIsANumber", [](Json& f) { f["model"]["ignore_merges"] = 1; }, "model.ignore_merges: 1"},
      // the vocabulary
      {"VocabMissing", [](Json& f) { f["model"].erase("vocab"); }, "model.vocab: missing"},
      {"VocabIsAList", [](Json& f) { f["model"]["vocab"] = Json::array({"a"}); }, "model.vocab"},
      {"VocabIsEmpty", [](Json& f) { f["model"]["vocab"] = Json::object(); }, "no token for byte 0x00"},
      {"ByteMissing", [](Json& f) { f["model"]["vocab"].erase("A"); }, "no token for byte 0x41"},
      {"IdNegative", [](Json& f) { f["model"]["vocab"]["A"] = -1; }, "\"A\" has the id -1"},
      {"IdHuge", [](Json& f) { f["model"]["vocab"]["A"] = int64_t{1} << 40; }, "has the id 1099511627776"},
      {"IdBeyond64Bits", [](Json& f) { f["model"]["vocab"]["A"] = UINT64_MAX; }, "\"A\" has the id"},
      {"IdIsText", [](Json& f) { f["model"]["vocab"]["A"] = "7"; }, "the id of \"A\" is \"7\""},
      {"IdIsAFraction", [](Json& f) { f["model"]["vocab"]["A"] = 7.5; }, "the id of \"A\" is 7.5"},
      {"IdIsNull", [](Json& f) { f["model"]["vocab"]["A"] = nullptr; }, "the id of \"A\" is null"},
      {"IdIsAList", [](Json& f) { f["model"]["vocab"]["A"] = {1}; }, "the id of \"A\" is an array"},
      {"IdIsAnObject", [](Json& f) { f["model"]["vocab"]["A"] = Json::object(); }, "the id of \"A\" is an object"},
      {"IdTwice", [](Json& f) { f["model"]["vocab"]["A"] = f["model"]["vocab"]["B"]; }, "is used twice"},
      {"TokenEmpty", [](Json& f) { f["model"]["vocab"][""] = 5000; }, "token 5000 is empty"},
      // the merges
      {"MergesMissing", [](Json& f) { f["model"].erase("merges"); }, "model.merges: missing"},
      {"MergesAreAnObject", [](Json& f) { f["model"]["merges"] = Json::object(); }, "model.merges"},
      {"MergeIsANumber", [](Json& f) { f["model"]["merges"][3] = 3; }, "merge 3 is or holds 3"},
      {"MergeHoldsANumber",
       [](Json& f) {
         f["model"]["merges"][3] = {3, "a"};
       },
       "holds 3"},
      {"MergeHoldsAList",
       [](Json& f) {
         f["model"]["merges"][3] = Json::array({Json::array({"a"}), "b"});
       },
       "merge 3"},
      {"MergeOfOne", [](Json& f) { f["model"]["merges"][3] = Json::array({"a"}); }, "merge 3 has 1 parts"},
      {"MergeOfThree",
       [](Json& f) {
         f["model"]["merges"][3] = {"a", "b", "c"};
       },
       "merge 3 has 3 parts"},
      {"MergeWithoutSpace", [](Json& f) { f["model"]["merges"][3] = "ab"; }, "merge 3 is \"ab\""},
      {"MergeWithTwoSpaces", [](Json& f) { f["model"]["merges"][3] = "a b c"; }, "merge 3 is \"a b c\""},
      {"MergeWithEmptyPart",
       [](Json& f) {
         f["model"]["merges"][3] = {"", "a"};
       },
       "merge 3 names \"\""},
      {"MergeUnknownPart",
       [](Json& f) {
         f["model"]["merges"][3] = {"QZ", "a"};
       },
       "merge 3 names \"QZ\""},
      {"MergeOutsideAlphabet",
       [](Json& f) {
         f["model"]["merges"][3] = {"\xE6\xB0\xB4", "a"};
       },
       "merge 3 names"},
      {"MergeMakesUnknown",
       [](Json& f) {
         f["model"]["merges"][3] = {"Q", "Z"};
       },
       "merge 3 makes \"QZ\""},
      {"MergeTwice", [](Json& f) { f["model"]["merges"][3] = f["model"]["merges"][2]; }, "duplicate merge 3"},
      // what surrounds the model
      {"Normalizer",
       [](Json& f) {
         f["normalizer"] = {{"type", "Lowercase"}};
       },
       "\"Lowercase\" is not supported"},
      {"NormalizerIsText", [](Json& f) { f["normalizer"] = "NFC"; }, "normalizer: \"NFC\", expected an object"},
      {"NormalizerSequence",
       [](Json& f) {
         f["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFKC"}}}}};
       },
       "normalizer.normalizers[0].type: \"NFKC\""},
      {"NormalizerListMissing",
       [](Json& f) {
         f["normalizer"] = {{"type", "Sequence"}};
       },
       "normalizer.normalizers"},
      {"PretokenizerMissing", [](Json& f) { f.erase("pre_tokenizer"); }, "pre_tokenizer: missing"},
      {"PretokenizerType",
       [](Json& f) {
         f["pre_tokenizer"] = {{"type", "Whitespace"}};
       },
       "\"Whitespace\""},
      {"NoByteLevel", [](Json& f) { f["pre_tokenizer"] = split("a"); }, "ByteLevel is missing"},
      {"SplitAfterByteLevel",
       [](Json& f) {
         f["pre_tokenizer"]["pretokenizers"] = Json::array({byte_level(), split("a")});
       },
       "\"Split\" after ByteLevel"},
      {"PrefixSpace", [](Json& f) { f["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = true; },
       "pre_tokenizer.pretokenizers[1].add_prefix_space"},
      {"SplitBehavior", [](Json& f) { f["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed"; }, "\"Removed\""},
      {"SplitInverted", [](Json& f) { f["pre_tokenizer"]["pretokenizers"][0]["invert"] = true; }, "invert"},
      {"SplitWithoutPattern", [](Json& f) { f["pre_tokenizer"]["pretokenizers"][0].erase("pattern"); }, "pattern"},
      {"PatternIsText", [](Json& f) { f["pre_tokenizer"]["pretokenizers"][0]["pattern"] = "a"; }, "pattern"},
      {"PatternInvalid", [](Json& f) { set_pattern(f, "a(b"); }, "pattern \"a(b\" is not valid"},
      {"PatternEmpty", [](Json& f) { set_pattern(f, ""); }, "pattern is empty"},
      {"PatternHuge", [](Json& f) { set_pattern(f, std::string(100'000, 'a')); }, "pattern of 100000 bytes"},
      {"PatternNested", [](Json& f) { set_pattern(f, std::string(8000, '(') + std::string(8000, ')')); }, "not valid"},
      {"PatternOfAnotherDialect", [](Json& f) { set_pattern(f, "\\h+"); }, "uses \\h"},
      {"PatternNestedClass", [](Json& f) { set_pattern(f, "[a[bc]]"); }, "a class inside a class"},
      {"PatternClassIntersection", [](Json& f) { set_pattern(f, "[a-z&&b]"); }, "&&"},
      {"PatternVerb", [](Json& f) { set_pattern(f, "(*UTF)a"); }, "verb"},
      {"PatternFlags", [](Json& f) { set_pattern(f, "(?m:a.b)"); }, "flags"},
      {"PostProcessor",
       [](Json& f) {
         f["post_processor"] = {{"type", "BertProcessing"}};
       },
       "\"BertProcessing\""},
      {"TemplateWithoutText", [](Json& f) { set_template(f, Json::array({kBegin}), begin_token({700})); },
       "no Sequence A"},
      {"TemplateUnknownToken",
       [](Json& f) {
         set_template(f, Json::array({kBegin, kText}), Json::object());
       },
       "<b>: missing"},
      {"TemplateIdWithoutToken",
       [](Json& f) {
         set_template(f, Json::array({kBegin, kText}), begin_token({9999}));
       },
       "9999"},
      {"TemplateIdHuge",
       [](Json& f) {
         set_template(f, Json::array({kBegin, kText}), begin_token({1e15}));
       },
       "ids[0]"},
      {"TemplateIsText", [](Json& f) { set_template(f, "A", begin_token({700})); }, "post_processor.single"},
      {"DecoderMissing", [](Json& f) { f["decoder"] = nullptr; }, "decoder: missing"},
      {"DecoderType",
       [](Json& f) {
         f["decoder"] = {{"type", "Metaspace"}};
       },
       "decoder.type: \"Metaspace\""},
      // added tokens
      {"AddedIsAnObject", [](Json& f) { f["added_tokens"] = Json::object(); }, "added_tokens: {}"},
      {"AddedIsText", [](Json& f) { f["added_tokens"][0] = "<|end|>"; }, "added_tokens[0]"},
      {"AddedIdMissing", [](Json& f) { f["added_tokens"][0].erase("id"); }, "added_tokens[0].id: missing"},
      {"AddedIdNegative", [](Json& f) { f["added_tokens"][0]["id"] = -5; }, "added_tokens[0].id: -5"},
      {"AddedIdHuge", [](Json& f) { f["added_tokens"][0]["id"] = int64_t{1} << 40; }, "added_tokens[0].id"},
      {"AddedIdIsText", [](Json& f) { f["added_tokens"][0]["id"] = "700"; }, "added_tokens[0].id"},
      {"AddedIdTwice", [](Json& f) { f["added_tokens"][0]["id"] = 701; }, "id 701 is used twice"},
      {"AddedIdOfVocab", [](Json& f) { f["added_tokens"][0]["id"] = 5; }, "gives to another token"},
      {"AddedContentOfVocab", [](Json& f) { f["added_tokens"][0]["content"] = "A"; }, "in model.vocab"},
      {"AddedContentEmpty", [](Json& f) { f["added_tokens"][0]["content"] = ""; }, "added_tokens[0].content: empty"},
      {"AddedContentMissing", [](Json& f) { f["added_tokens"][0].erase("content"); }, "added_tokens[0].content"},
      {"AddedContentTwice", [](Json& f) { f["added_tokens"][0]["content"] = "<|pad|>"; }, "duplicate content"},
      {"AddedSpecialIsText", [](Json& f) { f["added_tokens"][0]["special"] = "true"; }, "added_tokens[0].special"},
      {"AddedLstrip", [](Json& f) { f["added_tokens"][0]["lstrip"] = true; }, "added_tokens[0].lstrip"},
      {"AddedRstrip", [](Json& f) { f["added_tokens"][1]["rstrip"] = true; }, "added_tokens[1].rstrip"},
      {"AddedSingleWord", [](Json& f) { f["added_tokens"][2]["single_word"] = true; }, "added_tokens[2].single_word"},
  };
  return all;
}

class TokenizerMalformed : public testing::TestWithParam<Mutation> {};
INSTANTIATE_TEST_SUITE_P(Json, TokenizerMalformed, testing::ValuesIn(mutations()),
                         [](const auto& test_case) { return std::string(test_case.param.name); });

TEST_P(TokenizerMalformed, IsRefusedByName) {
  Json file = good();
  GetParam().change(file);
  const std::string text = to_text(file);
  expect_refused([&] { return Tokenizer::from_json(text, "some/tokenizer.json"); }, "some/tokenizer.json",
                 GetParam().cause);
}

TEST(TokenizerFiles, TextThatIsNoTokenizerIsRefused) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "not valid JSON"},
      {"{", "not valid JSON"},
      {"[]", "expected an object"},
      {"null", "expected an object"},
      {"\xFF\xFE", "not valid JSON"},
      {"{\"model\":{},\"model\":{}}", "duplicate key \"model\""},
      {"{\"model\":{\"vocab\":{},\"vocab\":{}}}", "duplicate key \"vocab\""},
      {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"\\ud800\":1}}}", "not valid JSON"},
      {std::string(100'000, '['), "nested deeper"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "not valid JSON"},
  };
  for (const auto& [text, cause] : cases) {
    expect_refused([&] { return Tokenizer::from_json(text, "tokenizer.json"); }, "tokenizer.json", cause);
  }
}

TEST(TokenizerFiles, RepeatedTokensAreRefused) {
  std::string text = to_text(good());
  text.insert(text.find("\"vocab\":{") + 9, "\"A\":5001,");
  expect_refused([&] { return Tokenizer::from_json(text, "tokenizer.json"); }, "tokenizer.json",
                 "duplicate token \"A\"");
}

// Truncated anywhere, a file is refused, and never more than that.
TEST(TokenizerFiles, EveryTruncationIsRefused) {
  const std::string text = to_text(good());
  for (size_t size = 0; size < text.size(); size += 1 + size / 64) {
    expect_refused([&] { return Tokenizer::from_json(text.substr(0, size), "cut.json"); }, "cut.json",
                   "not valid JSON");
  }
}

TEST(TokenizerFiles, PatternsThatBacktrackWithoutEndFailInTime) {
  for (const char* pattern :
       {"(a+)+$", "(a|aa)+b", "(a*)*b", "((a?){30}){30}b", "(.*)(.*)(.*)(.*)(.*)[^a]", "(a|(?1)b)*c"}) {
    Json file = good();
    set_pattern(file, pattern);
    const std::string text(5000, 'a');
    try {
      // Either the library finds a way without backtracking or it says why not; both quickly.
      Tokenizer::from_json(to_text(file), "tokenizer.json").encode(text + "!" + text + "\n" + text);
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("pattern"), std::string::npos) << e.what();
    }
  }
}

TEST(TokenizerFiles, FoldersAreRefusedByWhatTheyLack) {
  const auto write = [](const std::filesystem::path& file, const std::string& text) {
    std::ofstream(file, std::ios::binary) << text;
  };
  const test::TemporaryDir folder;
  const auto& at = folder.path();
  const auto load = [&] { return Tokenizer::load(at); };
  expect_refused([&] { return Tokenizer::load(at / "absent"); }, "absent", "no such folder");
  expect_refused(load, at.string(), "holds no tokenizer");
  write(at / "vocab.json", to_text(good()["model"]["vocab"]));
  expect_refused(load, at.string(), "merges.txt");

  write(at / "merges.txt", "#version: 0.2\na\n");
  expect_refused(load, "merges.txt", "merge 0 is \"a\"");
  write(at / "merges.txt", "#version: 0.2\n\nt h\n");
  expect_refused(load, "merges.txt", "merge 0 is \"\"");
  write(at / "merges.txt", "t \xFF\n");
  expect_refused(load, "merges.txt", "not valid UTF-8");
  write(at / "merges.txt", "Q Z\n");
  expect_refused(load, at.string(), "merge 0 makes \"QZ\"");
  write(at / "merges.txt", "");
  EXPECT_NO_THROW(load());

  write(at / "tokenizer_config.json", "{}");
  expect_refused(load, "tokenizer_config.json", "tokenizer_class");
  write(at / "tokenizer_config.json", R"({"tokenizer_class": "LlamaTokenizer"})");
  expect_refused(load, "tokenizer_config.json", "LlamaTokenizer");
  write(at / "tokenizer_config.json", R"({"tokenizer_class": "Qwen2Tokenizer", "add_bos_token": true})");
  expect_refused(load, "tokenizer_config.json", "add_bos_token");
  write(at / "tokenizer_config.json", R"({"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": []})");
  expect_refused(load, "tokenizer_config.json", "added_tokens_decoder");
  write(at / "tokenizer_config.json", R"({"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": {"1x": {}}})");
  expect_refused(load, "tokenizer_config.json", "1x");
  write(at / "tokenizer_config.json", R"({"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": {"1": 2}})");
  expect_refused(load, "tokenizer_config.json", "added_tokens_decoder \"1\"");
  std::filesystem::remove(at / "tokenizer_config.json");

  write(at / "vocab.json", "[1]");
  expect_refused(load, "vocab.json", "expected an object");
  write(at / "vocab.json", "{\"A\": {\"B\": 1}}");
  expect_refused(load, "vocab.json", "the id of \"A\" is an object");
  std::filesystem::create_directory(at / "tokenizer.json");
  expect_refused(load, "tokenizer.json", "is a folder");
}

}  // namespace
}  // namespace duan::text
