#include "cli/calibration_pictures.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "base/error.h"
#include "cli/content.h"
#include "cli/image_prompt.h"
#include "cli/prompt_encoder.h"
#include "ir/subgraph.h"
#include "quant/block_calibration.h"
#include "quant/picture_rows.h"
#include "support/paths.h"
#include "text/chat_template.h"

namespace duan::cli {
namespace {

namespace fs = std::filesystem;

class Pictures : public testing::Test {
 protected:
  fs::path write(const std::string& name, const std::string& content) {
    std::ofstream(folder_.path() / name, std::ios::binary) << content;
    return folder_.path() / name;
  }
  static Json asks(const fs::path& picture) {
    return {{{"role", "user"}, {"content", content_with({{false, {picture}}}, "what is written in the image?")}},
            {{"role", "assistant"}, {"content", "links"}}};
  }
  quant::CalibrationSet load(const fs::path& file, CalibrationPictures& pictures) const {
    return quant::load_calibration({{file}, 8, 128, 0}, model_.folder, model_.config.vocab_size, &pictures);
  }
  std::string error_of(const Json& messages) {
    try {
      CalibrationPictures pictures(model_, {}, 1);
      load(write("a.jsonl", "\n" + to_text({{"messages", messages}}) + "\n"), pictures);
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
  const fs::path demo_ = test::source_dir() / "models/demo", picture_ = demo_ / "ocr/regular/000.png";
  const models::Model model_ = models::Model::open(demo_);
};

TEST_F(Pictures, BlocksSeeWhatTheEngineSeesOfTheSamePrompt) {
  CalibrationPictures pictures(model_, {}, 1);
  const quant::CalibrationSet set = load(write("a.jsonl", to_text({{"messages", asks(picture_)}}) + "\n"), pictures);

  // As duan run does it.
  const text::Tokenizer tokenizer = text::Tokenizer::load(demo_);
  const std::vector<int64_t> ids = encode_conversation(tokenizer, text::ChatTemplate::load(demo_),
                                                       {.messages = asks(picture_), .add_generation_prompt = false});
  engine::Options options;
  options.threads = 1;
  options.context = 128;
  options.compute = engine::Compute::fp32;
  ImageReader reader(demo_, model_.config, engine::make_native_encoder(*model_.vision, model_.checkpoint, options), {});
  const ImagePrompt prompt =
      place_pictures(ids, {{false, {picture_}}}, reader, *model_.config.image_tokens, tokenizer, 2);
  EXPECT_EQ(set.samples, std::vector<std::vector<int64_t>>{prompt.ids});
  EXPECT_EQ(set.image_tokens(), prompt.image_tokens);
  EXPECT_GT(prompt.image_tokens, 1);

  std::map<std::string, std::vector<float>> expected;
  const auto engine = engine::make_reference(model_.graph, model_.checkpoint, options);
  engine->set_probe([&](ir::ValueId value, int64_t, int64_t rows, int64_t width, const float* data) {
    expected[model_.graph.value(value).name].assign(data, data + rows * width);
  });
  engine->set_images(prompt.images);
  engine->forward(prompt.ids);

  const std::vector<quant::Block> blocks = quant::find_blocks(model_.graph);
  quant::PictureRows rows(model_.graph, blocks, &set, &pictures);
  quant::HiddenStates hidden;
  for (size_t b = 0; b + 1 < blocks.size(); ++b) {
    const ir::Graph graph = ir::subgraph(model_.graph, blocks[b].first, blocks[b].last);
    rows.prepare(b, {});
    quant::HiddenStates out;
    quant::run_block({graph, engine::weights_of(model_.checkpoint), set, 1}, hidden, &out, {});
    rows.release(b);
    const std::vector<float>& whole = expected.at(graph.value(graph.outputs[0]).name);
    ASSERT_EQ(out.values.size(), whole.size());
    for (size_t i = 0; i < whole.size(); ++i) {
      ASSERT_NEAR(out.values[i], whole[i], 1e-3 + 1e-4 * std::abs(whole[i])) << blocks[b].name << " " << i;
    }
    hidden = std::move(out);
  }
}

TEST_F(Pictures, SizesAreThoseAskedFor) {
  ImageOptions small;
  small.min_pixels = 1024;
  small.max_pixels = 2048;
  CalibrationPictures whole(model_, {}, 1), reduced(model_, small, 1);
  const fs::path file = write("a.jsonl", to_text({{"messages", asks(demo_ / "ocr/documents/000.png")}}) + "\n");
  EXPECT_LT(load(file, reduced).image_tokens(), load(file, whole).image_tokens());
  EXPECT_NE(load(file, reduced).hash(), load(file, whole).hash());
}

TEST_F(Pictures, AFileThatChangesIsNoticed) {
  fs::copy_file(picture_, folder_.path() / "a.png");
  CalibrationPictures pictures(model_, {}, 1);
  const quant::CalibrationSet set = load(write("a.jsonl", to_text({{"messages", asks("a.png")}}) + "\n"), pictures);
  EXPECT_EQ(pictures.encode(set.pictures.at(0)).tokens(), set.image_tokens());
  fs::copy_file(demo_ / "ocr/regular/001.png", folder_.path() / "a.png", fs::copy_options::overwrite_existing);
  try {
    pictures.encode(set.pictures.at(0));
    ADD_FAILURE() << "not noticed";
  } catch (const Error& e) {
    EXPECT_EQ(e.message(), "has changed since the samples were chosen");
  }
}

TEST_F(Pictures, WhatIsWrongIsNamed) {
  EXPECT_EQ(error_of(asks("none.png")), "a.jsonl:2, picture none.png: No such file or directory");
  EXPECT_EQ(error_of(asks("http://x/y.png")), "a.jsonl:2: an image is an address on the network; only files are read");
  EXPECT_EQ(error_of(asks("")), "a.jsonl:2: names a picture \"\"");
  write("text.png", "hello");
  EXPECT_TRUE(error_of(asks("text.png")).starts_with("a.jsonl:2, picture text.png: is an unknown format"));
  EXPECT_EQ(error_of({{{"role", "user"}, {"content", content_with({{true, {picture_}}}, "?")}}}),
            "a.jsonl:2: has a video; a model is calibrated on texts and pictures");
  EXPECT_EQ(error_of({{{"role", "user"}, {"content", Json::array({3})}}}),
            "a.jsonl:2: a part of \"content\" is not an object");
  Json messages = asks(picture_);
  messages[0]["content"][1]["text"] = "<|image_pad|>";
  EXPECT_EQ(error_of(messages), "a.jsonl:2: the chat template has places for 2 pictures where the messages have 1");
  messages = asks(picture_);
  const models::Model text = models::Model::open(test::data_dir() / "models/qwen3-untied");
  CalibrationPictures pictures(text, {}, 1);
  EXPECT_THROW(pictures.files_of(messages, "", "a.jsonl:1"), Error);
}

}  // namespace
}  // namespace duan::cli
