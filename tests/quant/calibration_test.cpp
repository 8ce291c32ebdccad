#include "quant/calibration.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "base/error.h"
#include "base/json.h"
#include "checkpoint/writer.h"
#include "quant/pictures.h"
#include "support/paths.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace duan::quant {
namespace {

namespace fs = std::filesystem;

class Calibration : public testing::Test {
 protected:
  fs::path write(const std::string& name, const std::string& content) {
    std::ofstream(folder_.path() / name, std::ios::binary) << content;
    return folder_.path() / name;
  }

  CalibrationSet load(std::vector<fs::path> files, int64_t samples = 100, int64_t tokens = 64, uint64_t seed = 0) {
    return load_calibration({std::move(files), samples, tokens, seed}, demo_, 4096);
  }

  CalibrationSet load_pictures(std::vector<fs::path> files, int64_t samples = 100, int64_t tokens = 64) {
    return load_calibration({std::move(files), samples, tokens, 0}, demo_, 4096, &pictures_);
  }

  std::string error_of(const std::string& name, const std::string& content) {
    try {
      load_calibration({{write(name, content)}, 100, 64, 0}, demo_, 4096, &pictures_);
    } catch (const Error& e) {
      std::string what = e.what();
      const std::string prefix = folder_.path().string() + "/";
      for (size_t at = what.find(prefix); at != std::string::npos; at = what.find(prefix))
        what.erase(at, prefix.size());
      return what;
    }
    return "";
  }

  const test::TemporaryDir folder_;
  const fs::path demo_ = test::source_dir() / "models/demo";
  test::MadeUpPictures pictures_{
      {{"a.png", {1, 2, 11}}, {"b.png", {1, 2, 22}}, {"same.png", {1, 2, 11}}, {"large.png", {8, 9, 33}}}, 3058};
};

TEST(CalibrationPart, IsSpreadOverTheSet) {
  CalibrationSet set;
  for (int64_t s = 0; s < 40; ++s) set.samples.emplace_back(static_cast<size_t>(90 + s % 21), s);
  for (const int64_t tokens : {1, 500, 1000, 3000, 3900}) {
    const CalibrationPart part = part_of(set, tokens);
    EXPECT_NEAR(static_cast<double>(part.set.tokens()), static_cast<double>(tokens), 110) << tokens;
    int64_t last = -1, apart = 0;
    for (size_t i = 0; i < part.firsts.size(); ++i) {
      const int64_t sample = part.set.samples[i][0];
      EXPECT_EQ(part.set.samples[i], set.samples[static_cast<size_t>(sample)]);
      int64_t before = 0;
      for (int64_t s = 0; s < sample; ++s) before += static_cast<int64_t>(set.samples[static_cast<size_t>(s)].size());
      EXPECT_EQ(part.firsts[i], before);
      apart = std::max(apart, sample - last);
      last = sample;
    }
    EXPECT_LE(apart, 2 * 4000 / tokens + 1) << tokens;
  }
  for (const int64_t tokens : {int64_t{0}, set.tokens(), int64_t{1} << 40}) {
    EXPECT_EQ(part_of(set, tokens).set.samples, set.samples);
  }
}

TEST_F(Calibration, RendersConversationsWithTheirAnswers) {
  const CalibrationSet set =
      load({write("a.jsonl", R"({"messages": [{"role": "user", "content": "hello"}, {"role": "assistant", )"
                             R"("content": "Hi there"}]})")});
  text::TemplateInput input;
  input.messages =
      parse_json(R"([{"role": "user", "content": "hello"}, {"role": "assistant", "content": "Hi there"}])", "test");
  input.add_generation_prompt = false;
  const std::string rendered = text::ChatTemplate::load(demo_).render(input);
  EXPECT_NE(rendered.find("Hi there"), std::string::npos);
  ASSERT_EQ(set.samples.size(), 1u);
  EXPECT_EQ(set.samples[0], text::Tokenizer::load(demo_).encode(rendered, false));
}

TEST_F(Calibration, ReadsTextsAndIds) {
  const std::vector<int64_t> hello = text::Tokenizer::load(demo_).encode("hello", false);
  CalibrationSet expected;
  expected.samples = {hello, hello, {1, 2, 3}, {4, 5}};
  std::sort(expected.samples.begin(), expected.samples.end());
  const CalibrationSet lines = load({write("a.jsonl",
                                           "{\"text\": \"hello\"}\n\n\"hello\"\r\n{\"input_ids\": [1, 2, "
                                           "3]}\n[4, 5]")});
  EXPECT_EQ(lines.samples, expected.samples);
  EXPECT_EQ(lines.tokens(), static_cast<int64_t>(2 * hello.size()) + 5);
  const CalibrationSet list =
      load({write("a.json", R"([{"text": "hello"}, "hello", {"input_ids": [1, 2, 3]}, [4, 5]])")});
  EXPECT_EQ(list.samples, expected.samples);
}

TEST_F(Calibration, CutsPlainTextAndFlatIdsIntoPieces) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "a quick brown fox ";
  const CalibrationSet set = load({write("a.txt", text)});
  const std::vector<int64_t> ids = text::Tokenizer::load(demo_).encode(text, false);
  EXPECT_EQ(set.samples.size(), ids.size() / 64 + (ids.size() % 64 >= 32));
  for (const auto& sample : set.samples) EXPECT_LE(sample.size(), 64u);
  const CalibrationSet flat = load({write("b.json", "[1, 2, 3, 4, 5, 6, 7, 8]")}, 10, 3);
  EXPECT_EQ(flat.samples, (std::vector<std::vector<int64_t>>{{1, 2, 3}, {4, 5, 6}, {7, 8}}));
}

TEST_F(Calibration, ChoosesBySeedAndNotByOrder) {
  std::string forward, backward;
  for (int i = 0; i < 50; ++i) forward += fmt::format("[{}, 7]\n", i);
  for (int i = 49; i >= 0; --i) backward += fmt::format("[{}, 7]\n", i);
  const auto a = load({write("a.jsonl", forward)}, 10).samples, b = load({write("b.jsonl", backward)}, 10).samples;
  EXPECT_EQ(a, b);
  EXPECT_EQ(a.size(), 10u);
  EXPECT_NE(a, load({write("a.jsonl", forward)}, 10, 64, 1).samples);
  EXPECT_TRUE(std::is_sorted(a.begin(), a.end()));
  const fs::path first = write("c.jsonl", "[1]\n[2]\n"), second = write("d.jsonl", "[3]\n[4]\n");
  EXPECT_EQ(load({first, second}, 3).samples, load({second, first}, 3).samples);
}

TEST_F(Calibration, DropsTheEndOfLongSamplesAndWhatIsEmpty) {
  const auto set = load({write("a.jsonl", "[1,2,3,4,5]\n[]\n\"\"\n{\"messages\": []}\n[9]\n")}, 10, 3);
  EXPECT_EQ(set.samples, (std::vector<std::vector<int64_t>>{{1, 2, 3}, {9}}));
}

TEST_F(Calibration, NamesTheLineThatIsWrong) {
  EXPECT_EQ(error_of("a.jsonl", "[1]\n\n{\"text\": 5}\n"), "a.jsonl:3: \"text\" is 5, expected a string");
  EXPECT_EQ(error_of("a.jsonl", "[1]\n{\"txt\": \"x\"}\n"),
            "a.jsonl:2: has none of \"messages\", \"text\" and \"input_ids\"");
  EXPECT_EQ(error_of("a.jsonl", "[1, 4096]"), "a.jsonl:1: 4096 is not a token id in [0, 4096)");
  EXPECT_EQ(error_of("a.jsonl", "[-1]"), "a.jsonl:1: -1 is not a token id in [0, 4096)");
  EXPECT_EQ(error_of("a.jsonl", "[1.5]"), "a.jsonl:1: 1.5 is not a token id in [0, 4096)");
  EXPECT_EQ(error_of("a.jsonl", "[18446744073709551615]"),
            "a.jsonl:1: 18446744073709551615 is not a token id in [0, 4096)");
  EXPECT_EQ(error_of("a.jsonl", "7"), "a.jsonl:1: the sample is 7");
  EXPECT_EQ(error_of("a.jsonl", "{\"messages\": {}}"), "a.jsonl:1: \"messages\" is not a list");
  EXPECT_EQ(error_of("a.jsonl", "{\"messages\": [3]}"),
            "a.jsonl:1: a message is not an object with \"role\" and \"content\"");
  EXPECT_EQ(error_of("a.jsonl", "{\"messages\": [{\"content\": \"x\"}]}"), "a.jsonl:1: \"role\" is missing");
  EXPECT_NE(error_of("a.jsonl", "[1]\n{\"text\": \"x\", \"text\": \"y\"}").find("a.jsonl:2: duplicate key"),
            std::string::npos);
  EXPECT_NE(error_of("a.jsonl", "[1]\n{\"text\n").find("a.jsonl:2: not valid JSON"), std::string::npos);
  EXPECT_NE(error_of("a.jsonl", std::string(3, '\0')).find("a.jsonl:1: not valid JSON"), std::string::npos);
  EXPECT_NE(error_of("a.jsonl", std::string(100'000, '[')).find("a.jsonl:1: JSON nested deeper"), std::string::npos);
  EXPECT_EQ(error_of("a.json", "{}"), "a.json: is not a list of samples");
  EXPECT_EQ(error_of("a.json", "[[1], 2]"), "a.json, sample 2: the sample is 2");
  EXPECT_EQ(error_of("a.json", "[1, [2]]"), "a.json: [2] is not a token id in [0, 4096)");
}

TEST_F(Calibration, RefusesFilesThatHoldNoSamples) {
  EXPECT_EQ(error_of("a.jsonl", ""), "--calibration: no usable sample in a.jsonl");
  EXPECT_EQ(error_of("a.json", "[[], \"\"]"), "--calibration: no usable sample in a.json");
  EXPECT_EQ(error_of("a.txt", ""), "--calibration: no usable sample in a.txt");
  EXPECT_EQ(error_of("a.csv", "x"), "a.csv: is not a kind of file that holds samples");
  EXPECT_THROW(load({}), Error);
  EXPECT_THROW(load({folder_.path() / "absent.jsonl"}), Error);
  EXPECT_THROW(load({folder_.path()}), Error);
}

std::string asks(const std::string& picture, const std::string& question = "what?") {
  return R"({"messages": [{"role": "user", "content": [{"type": "image", "image": ")" + picture +
         R"("}, {"type": "text", "text": ")" + question + R"("}]}, {"role": "assistant", "content": "x"}]})" + "\n";
}

TEST_F(Calibration, PicturesTakeTheirTokensPlace) {
  const CalibrationSet set = load_pictures({write("a.jsonl", asks("a.png") + "\"hello\"\n")});
  ASSERT_EQ(set.samples.size(), 2u);
  ASSERT_EQ(set.pictures.size(), 1u);
  EXPECT_EQ(set.image_tokens(), 2);
  EXPECT_EQ(set.pictures[0].file, folder_.path() / "a.png");
  EXPECT_TRUE(set.pictures[0].where.ends_with("a.jsonl:1"));
  const size_t with = set.images_of(0) != nullptr ? 0 : 1;
  EXPECT_EQ(set.images_of(1 - with), nullptr);
  const auto& ids = set.samples[with];
  EXPECT_EQ(std::count(ids.begin(), ids.end(), pictures_.pad), 2);
  ASSERT_EQ(set.images_of(with)->images().size(), 1u);
  EXPECT_EQ(ids[static_cast<size_t>(set.images_of(with)->images()[0].first)], pictures_.pad);
  // One row of two tokens: what follows goes on behind the wider side.
  const int64_t first = set.images_of(with)->images()[0].first;
  EXPECT_EQ(set.images_of(with)->position(first + 1), (std::array<int64_t, 3>{first, first, first + 1}));
}

TEST_F(Calibration, ReadsTheCasesOfOcrBench) {
  const auto question = [](const std::string& picture) {
    return R"({"dataset_name": "d", "type": "t", "image_path": ")" + picture +
           R"(", "question": "what?", "answers": ["x", "y"]})";
  };
  const CalibrationSet cases =
      load_pictures({write("ocr.json", "[" + question("a.png") + "," + question("b.png") + "]")});
  const CalibrationSet chats = load_pictures({write("a.jsonl", asks("b.png") + asks("a.png"))});
  EXPECT_EQ(cases.samples, chats.samples);
  EXPECT_EQ(cases.hash(), chats.hash());
  EXPECT_EQ(cases.pictures.size(), 2u);
  EXPECT_EQ(error_of("ocr.json", "[" + question("a.png") + ", {\"image_path\": \"a.png\"}]"),
            "ocr.json: case 1: \"dataset_name\" is missing");
  EXPECT_EQ(error_of("ocr.json", "[" + question("none.png") + "]"),
            "ocr.json: case 0, picture none.png: No such file or directory");
}

TEST_F(Calibration, PixelsTellSetsApartAndNothingElseOfPictures) {
  const auto hash = [&](const std::string& content) { return load_pictures({write("a.jsonl", content)}).hash(); };
  EXPECT_NE(hash(asks("a.png")), hash(asks("b.png")));
  EXPECT_EQ(hash(asks("a.png")), hash(asks("same.png")));
  EXPECT_EQ(hash(asks("a.png") + asks("b.png")), hash(asks("b.png") + asks("a.png")));
  EXPECT_EQ(load_pictures({write("a.jsonl", asks("a.png", "1") + asks("same.png", "2"))}).pictures.size(), 1u);
  // Which are taken does not depend on the folder: the same from another one.
  fs::create_directories(folder_.path() / "z");
  std::string many;
  for (int i = 0; i < 20; ++i) many += asks(i % 2 == 0 ? "a.png" : "b.png", std::to_string(i));
  EXPECT_EQ(load_pictures({write("a.jsonl", many)}, 5).hash(), load_pictures({write("z/b.jsonl", many)}, 5).hash());
}

TEST_F(Calibration, SamplesMayEndWithinAPicture) {
  const CalibrationSet set = load_pictures({write("a.jsonl", asks("large.png"))}, 1, 30);
  EXPECT_EQ(set.samples[0].size(), 30u);
  ASSERT_EQ(set.pictures.size(), 1u);
  EXPECT_EQ(set.image_tokens(), 30 - set.images_of(0)->images()[0].first);
  // And before one: it is not the set's.
  const CalibrationSet before = load_pictures({write("a.jsonl", asks("large.png"))}, 1, 2);
  EXPECT_TRUE(before.pictures.empty());
  EXPECT_EQ(before.images_of(0), nullptr);
}

TEST_F(Calibration, NamesTheLineAndThePicture) {
  EXPECT_EQ(error_of("a.jsonl", asks("a.png") + asks("none.png")),
            "a.jsonl:2, picture none.png: No such file or directory");
}

TEST_F(Calibration, ReadsIdsOfSafetensors) {
  const auto write_ids = [&](const Shape& shape) {
    checkpoint::write_safetensors(folder_.path() / "a.safetensors", {{"input_ids", DType::i32, shape}},
                                  [&](size_t, const checkpoint::ByteSink& sink) {
                                    const std::vector<int32_t> ids = {4, 5, 6, 1, 2, 3};
                                    sink(std::as_bytes(std::span(ids)));
                                  });
    return folder_.path() / "a.safetensors";
  };
  using Samples = std::vector<std::vector<int64_t>>;
  EXPECT_EQ(load({write_ids({2, 3})}).samples, (Samples{{1, 2, 3}, {4, 5, 6}}));
  EXPECT_EQ(load({write_ids({6})}, 10, 4).samples, (Samples{{2, 3}, {4, 5, 6, 1}}));
  EXPECT_THROW(load_calibration({{write_ids({6})}}, demo_, 6), Error);
}

TEST_F(Calibration, InvalidUtf8IsReplaced) { EXPECT_EQ(load({write("a.txt", "ab\xFF\xC3")}).samples.size(), 1u); }

TEST_F(Calibration, IdsNeedNoTokenizer) {
  const test::TemporaryDir empty;
  const fs::path file = write("a.json", "[[1, 2]]");
  EXPECT_EQ(load_calibration({{file}}, empty.path(), 10).samples.size(), 1u);
  const fs::path text = write("a.txt", "hello");
  EXPECT_THROW(load_calibration({{text}}, empty.path(), 10), Error);
}

}  // namespace
}  // namespace duan::quant
