// Models that see images, as a user runs them.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "support/paths.h"
#include "support/program.h"

namespace duan {
namespace {
namespace fs = std::filesystem;

using test::run_duan;

fs::path tiny() { return test::data_dir() / "vl" / "qwen3-vl"; }

// compare on a case with its pictures: the JSON it prints.
Json compare(const fs::path& model, const fs::path& golden, const std::vector<fs::path>& images,
             std::vector<std::string> more) {
  std::vector<std::string> arguments = {"compare", model.string(), golden.string(), "--json", "--tol", "2e-4"};
  for (const fs::path& image : images) arguments.insert(arguments.end(), {"--image", image.string()});
  arguments.insert(arguments.end(), more.begin(), more.end());
  const auto result = run_duan(arguments);
  EXPECT_EQ(result.exit_code, 0) << golden << result.out << result.err;
  return parse_json(result.out, "stdout");
}

// 2e-4 is the bar of vision features and hidden states; logits have one of 5e-4, and are far below both.
TEST(Image, TinyModelEqualsTransformersInBothEngines) {
  const Json index = read_json(tiny() / "goldens" / "index.json");
  for (const auto& [name, entry] : index.at("cases").items()) {
    std::vector<fs::path> images;
    for (const Json& file : entry.at("images")) images.push_back(tiny() / file.get<std::string>());
    const fs::path golden = tiny() / "goldens" / (name + ".safetensors");
    for (const std::vector<std::string>& how : std::vector<std::vector<std::string>>{
             {"--engine", "reference"}, {"-t", "1"}, {"-t", "4", "--chunk", "7"}, {"-t", "2", "--chunk", "1"}}) {
      const Json json = compare(tiny(), golden, images, how);
      EXPECT_TRUE(json.at("greedy_equal").get<bool>()) << name;
      EXPECT_TRUE(json.at("first_divergence").is_null()) << name << json.at("first_divergence");
    }
  }
}

TEST(Image, ReferenceModelEqualsTransformersInBothEngines) {
  DUAN_NEEDS_REFERENCE();
  const fs::path models = *test::reference_dir() / "golden" / "models";
  const Json index = read_json(models / "vl_index.json");
  for (const auto& [name, entry] : index.at("cases").items()) {
    std::vector<fs::path> images;
    for (const Json& file : entry.at("images")) images.push_back(models / file.get<std::string>());
    std::string frames;
    for (const Json& file : entry.value("video_frames", Json::array())) {
      frames += (frames.empty() ? "" : ",") + (models / file.get<std::string>()).string();
    }
    for (const char* engine : {"reference", "native"}) {
      std::vector<std::string> how = {"--engine", engine};
      if (!frames.empty()) how.insert(how.end(), {"--video-frames", frames});
      const Json json =
          compare(models / "models" / "qwen3-vl", models / entry.at("file").get<std::string>(), images, how);
      EXPECT_TRUE(json.at("greedy_equal").get<bool>()) << name;
      EXPECT_TRUE(json.at("first_divergence").is_null()) << name << json.at("first_divergence");
    }
  }
}

TEST(Image, RunPutsPicturesAndVideosIntoThePromptAsTransformersDoes) {
  DUAN_NEEDS_REFERENCE();
  const fs::path models = *test::reference_dir() / "golden" / "models";
  const Json index = read_json(models / "vl_index.json");
  for (const auto& [name, entry] : index.at("cases").items()) {
    // The messages name no files: fill them in, in order.
    Json messages = entry.at("messages");
    size_t next = 0;
    for (Json& message : messages) {
      if (!message.at("content").is_array()) continue;
      for (Json& part : message.at("content")) {
        if (part.at("type") == "image") {
          part["image"] = (models / entry.at("images").at(next++).get<std::string>()).string();
        } else if (part.at("type") == "video") {
          part["video"] = Json::array();
          for (const Json& file : entry.at("video_frames"))
            part["video"].push_back((models / file.get<std::string>()).string());
        }
      }
    }
    const test::TemporaryDir dir;
    const fs::path file = dir.path() / "messages.json";
    std::ofstream(file) << to_text({{"messages", messages}});
    const auto result = run_duan({"run", (models / "models" / "qwen3-vl").string(), "--messages", file.string(),
                                  "--json", "--greedy", "--ignore-eos", "-n", "32"});
    ASSERT_EQ(result.exit_code, 0) << name << result.err;
    const Json json = parse_json(result.out, "stdout");
    const auto ids = run_duan({"tokenize", (models / "models" / "qwen3-vl").string(), "--jsonl"},
                              to_text({{"text", entry.at("expanded")}}) + "\n");
    EXPECT_EQ(json.at("prompt_ids"), parse_json(ids.out, "tokenize").at("ids")) << name;
  }
}

// The tower keeps its numbers, so that its features stay those of the golden; the decoder is rounded to 8 bits.
TEST(Image, QuantizingLeavesTheTowerAsItIs) {
  const test::TemporaryDir dir;
  const std::string out = (dir.path() / "int8").string();
  const auto made = run_duan({"quantize", tiny().string(), "-o", out, "--method", "int8-dynamic"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const auto result = run_duan({"compare", out, (tiny() / "goldens" / "one.safetensors").string(), "--image",
                                (tiny() / "wide.png").string(), "--json", "--tol", "1"});
  const Json json = parse_json(result.out, "stdout");
  EXPECT_LE(json.at("rms_over_std").get<double>(), 0.1);
  EXPECT_GT(json.at("rms_over_std").get<double>(), 1e-4);  // else nothing was rounded
  const Json ignore = read_json(fs::path(out) / "config.json").at("quantization_config").at("ignore");
  EXPECT_NE(std::find(ignore.begin(), ignore.end(), "model.visual.blocks.0.attn.qkv"), ignore.end());
}

std::string error_of(const std::vector<std::string>& arguments) {
  const auto result = run_duan(arguments);
  EXPECT_EQ(result.exit_code, 1) << result.out;
  return result.err;
}

TEST(Image, WhatCannotBeShownIsRefusedWithTheReason) {
  const std::string model = tiny().string(), golden = (tiny() / "goldens" / "one.safetensors").string();
  const std::string square = (tiny() / "square.png").string();
  EXPECT_EQ(error_of({"compare", model, golden, "--image", square}),
            "error: " + golden + ": the image at token 3 has 4 tokens, the sequence keeps 10 for it\n");
  EXPECT_NE(error_of({"compare", model, golden, "--image", golden}).find(golden + ": "), std::string::npos);
  EXPECT_NE(error_of({"compare", model, golden, "--image", "/nowhere.png"}).find("/nowhere.png"), std::string::npos);
  const std::string text_model = (test::data_dir() / "models" / "qwen3-tied").string();
  EXPECT_NE(error_of({"compare", text_model, golden, "--image", square}).find("sees no images"), std::string::npos);
  EXPECT_NE(error_of({"compare", model, golden, "--image", square, "--min-pixels", "9000", "--max-pixels", "5000"})
                .find("--min-pixels: 9000 is more than the 5000 of --max-pixels"),
            std::string::npos);
}

// Whatever a file claims to be: an answer, or one sentence and exit code 1.
TEST(Image, HostilePicturesAreShownOrRefusedInOneSentence) {
  const fs::path folder = test::data_dir() / "vision";
  const Json pictures = read_json(folder / "pictures.json");
  int refused = 0, shown = 0, number = 0;
  for (const auto& [name, expected] : pictures.items()) {
    const bool bad = expected.contains("error");
    if (++number % 4 != 0) continue;  // vision_decode_test reads all of them
    const std::string file = (folder / "pictures" / name).string();
    const auto result =
        run_duan({"run", "demo", "--image", file, "what is written in the image?", "-n", "4", "-t", "1"});
    if (!bad && result.exit_code == 0) {
      ++shown;
      continue;
    }
    // Of pictures that can be read, the preprocessor refuses those longer than 200 times their width.
    EXPECT_EQ(result.exit_code, 1) << name << result.err;
    EXPECT_EQ(result.err.rfind("error: " + file + ": ", 0), 0u) << result.err;
    EXPECT_LE(std::count(result.err.begin(), result.err.end(), '\n'), 2) << "one sentence, and a hint: " << result.err;
    if (bad) {
      EXPECT_NE(result.err.find(expected.at("error").get<std::string>()), std::string::npos) << result.err;
    }
    refused += bad ? 1 : 0;
  }
  EXPECT_GE(refused, 10);
  EXPECT_GE(shown, 10);
}

TEST(Image, TheDemoModelReadsItsExamples) {
  const fs::path folder = test::source_dir() / "models" / "demo" / "ocr";
  EXPECT_EQ(run_duan({"run", "demo", "--image", (folder / "regular/024.png").string(), "图中写了什么？"}).out, "文件\n");
  const auto result =
      run_duan({"eval", "ocrbench", "demo", "--data", (folder / "ocr.json").string(), "--limit", "30", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json score = parse_json(result.out, "stdout");
  EXPECT_EQ(score.at("all").at("count"), 30);
  EXPECT_GE(score.at("all").at("hits").get<int>(), 5);  // 8 when it was made; other kernels may lose one or another
  EXPECT_EQ(score.at("types").begin().key(), "Regular Text Recognition");
}

}  // namespace
}  // namespace duan
