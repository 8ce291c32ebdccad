// Models that see images as ONNX folders: what ONNX Runtime makes of pictures, and of prompts with them, against
// transformers.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "base/json.h"
#include "checkpoint/safetensors.h"
#include "engine/image_encoder.h"
#include "eval/compare.h"
#include "onnx/names.h"
#include "ort/in_pieces.h"
#include "ort/onnx_folders.h"
#include "vision/decode.h"
#include "vision/positions.h"

namespace duan {
namespace {
namespace fs = std::filesystem;

using onnx::Dialect;
constexpr Dialect kDialects[] = {Dialect::onnx21, Dialect::onnx23, Dialect::ort};
constexpr double kLogitTolerance = 5e-4, kFeatureTolerance = 2e-4;

struct Case {
  fs::path golden;
  std::vector<fs::path> frames, pictures;  // of a video, which comes first
};

std::shared_ptr<const engine::ImageFeatures> encode(engine::ImageEncoder& encoder, const vision::Patches& patches,
                                                    const checkpoint::VisionConfig& tower) {
  const int64_t merge = tower.spatial_merge_size;
  const std::vector<int64_t> positions = vision::patch_positions(patches.grid, merge);
  const vision::TableRows table = vision::interpolate_table(patches.grid, tower.position_side(), merge);
  return std::make_shared<engine::ImageFeatures>(encoder.encode({.rows = patches.grid.h / merge,
                                                                 .columns = patches.grid.w / merge,
                                                                 .pixels = patches.values,
                                                                 .positions = positions,
                                                                 .table_rows = table.rows,
                                                                 .table_shares = table.weights}));
}

eval::CaseImages encode(engine::ImageEncoder& encoder, const models::Model& model, const Case& c) {
  eval::CaseImages images;
  std::vector<vision::Image> frames;
  for (const fs::path& file : c.frames) frames.push_back(vision::read_image(file));
  if (frames.size() % 2 != 0) frames.push_back(frames.back());
  for (size_t i = 0; i < frames.size(); i += 2) {
    const auto config = vision::PreprocessorConfig::load_video(model.folder);
    const vision::Size common = vision::smart_resize_video(static_cast<int64_t>(frames.size()),
                                                           {frames[0].height, frames[0].width}, config.limits());
    const vision::Patches pair = vision::preprocess_frames(frames[i], frames[i + 1], common, config);
    images.frames.push_back(encode(encoder, pair, *model.config.vision));
  }
  const auto config = vision::PreprocessorConfig::load(model.folder);
  for (const fs::path& file : c.pictures) {
    images.images.push_back(
        encode(encoder, vision::preprocess(vision::read_image(file), config), *model.config.vision));
  }
  return images;
}

void hold_against(const models::Model& model, const std::vector<Case>& cases, const onnx::Options& options,
                  double logit_tolerance, bool greedy_counts) {
  const test::TemporaryDir dir;
  const fs::path folder = test::export_to(dir, model.folder, options);
  const ort::ModelFolder opened = ort::ModelFolder::open(folder);
  const auto engine = ort::make_session(opened, test::session_options());
  const auto encoder = ort::make_encoder(opened, test::session_options());
  EXPECT_EQ(engine->memory().kv_bytes > 0, options.kv_cache);
  test::InPieces in_pieces(*engine);
  for (const Case& c : cases) {
    const eval::CaseImages images = encode(*encoder, model, c);
    for (engine::Engine* way : {engine.get(), static_cast<engine::Engine*>(&in_pieces)}) {
      const std::string what = fmt::format("{} {}{}{}", c.golden.filename().string(), dialect_name(options.dialect),
                                           options.kv_cache ? "" : ", no cache", way == engine.get() ? "" : ", pieces");
      // Features and deepstack are held against the golden's, too, within this tolerance.
      const eval::Comparison seen =
          eval::compare(model, *way, c.golden, greedy_counts ? kFeatureTolerance : logit_tolerance, nullptr, images);
      EXPECT_LE(seen.max_abs, logit_tolerance) << what;
      EXPECT_TRUE(seen.greedy_equal || !greedy_counts) << what;
      EXPECT_TRUE(seen.first_divergence.empty() || !greedy_counts) << what << ": " << seen.first_divergence;
    }
  }
}

std::vector<Case> reference_cases(const fs::path& root) {
  const Json index = read_json(root / "vl_index.json");
  std::vector<Case> cases;
  for (const auto& entry : index.at("cases").items()) {
    Case c{root / entry.value().at("file").get<std::string>(), {}, {}};
    for (const Json& file : entry.value().value("video_frames", Json::array()))
      c.frames.push_back(root / file.get<std::string>());
    for (const Json& file : entry.value().at("images")) c.pictures.push_back(root / file.get<std::string>());
    cases.push_back(std::move(c));
  }
  return cases;
}

fs::path tiny() { return test::data_dir() / "vl" / "qwen3-vl"; }

std::vector<Case> tiny_cases() {
  const Json index = read_json(tiny() / "goldens" / "index.json");
  std::vector<Case> cases;
  for (const auto& entry : index.at("cases").items()) {
    Case c{tiny() / "goldens" / (entry.key() + ".safetensors"), {}, {}};
    for (const Json& file : entry.value().at("images")) c.pictures.push_back(tiny() / file.get<std::string>());
    cases.push_back(std::move(c));
  }
  return cases;
}

class Images : public testing::Test {
 protected:
  void SetUp() override { DUAN_NEEDS_ONNX_RUNTIME(); }
};

void hold_every_form(const models::Model& model, const std::vector<Case>& cases) {
  for (const Dialect dialect : kDialects) {
    for (const bool kv_cache : {true, false}) {
      hold_against(model, cases, test::export_options(dialect, kv_cache), kLogitTolerance, true);
    }
  }
}

TEST_F(Images, EveryTinyCaseEqualsTransformers) {
  const std::vector<Case> cases = tiny_cases();
  ASSERT_GE(cases.size(), 3u);
  hold_every_form(models::Model::open(tiny()), cases);
}

TEST_F(Images, EveryReferenceCaseEqualsTransformers) {
  DUAN_NEEDS_REFERENCE();
  const fs::path root = *test::reference_dir() / "golden" / "models";
  const std::vector<Case> cases = reference_cases(root);
  ASSERT_GE(cases.size(), 6u);
  hold_every_form(models::Model::open(root / "models" / "qwen3-vl"), cases);
}

TEST_F(Images, Fp16GraphsStayClose) {
  const models::Model model = models::Model::open(tiny());
  const std::vector<Case> cases = tiny_cases();
  for (const Dialect dialect : kDialects) {
    onnx::Options options = test::export_options(dialect);
    options.precision = onnx::Precision::fp16;
    hold_against(model, cases, options, 6e-2, false);
  }
}

// The rows of one picture, and a sequence that shows it between text.
struct Shown {
  std::shared_ptr<const engine::SequenceImages> images;
  std::vector<int64_t> ids;
};

Shown some_picture(const models::Model& model, int64_t hidden, size_t levels) {
  auto features = std::make_shared<engine::ImageFeatures>(engine::ImageFeatures{2, 3, hidden, {}, {}});
  const auto rows = [&](float phase) {
    std::vector<float> values(static_cast<size_t>(6 * hidden));
    for (size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i) * 0.7f + phase);
    return values;
  };
  features->embeds = rows(0);
  for (size_t i = 0; i < levels; ++i) features->deepstack.push_back(rows(static_cast<float>(i + 1)));
  Shown shown;
  shown.images = std::make_shared<engine::SequenceImages>(
      std::vector<engine::SequenceImages::Image>{{.first = 3, .features = features}});
  for (int64_t i = 0; i < 14; ++i) shown.ids.push_back(i >= 3 && i < 9 ? model.config.image_tokens->image : 20 + i);
  return shown;
}

Shown some_picture(const models::Model& model) {
  return some_picture(model, model.config.hidden_size, model.config.vision->deepstack_visual_indexes.size());
}

TEST_F(Images, ASequenceGoesBackIntoAnImageAndOnWithout) {
  for (const Dialect dialect : kDialects) {
    const test::TemporaryDir dir;
    const fs::path folder = test::export_to(dir, tiny(), test::export_options(dialect));
    const auto engine = test::open_session(folder);
    const Shown shown = some_picture(models::Model::open(tiny()));
    const auto last = [&](std::span<const int64_t> ids) {
      const std::span<const float> logits = engine->forward(ids);
      return std::vector<float>(logits.begin(), logits.end());
    };
    const auto largest = [](const std::vector<float>& a, const std::vector<float>& b) {
      float most = 0;
      for (size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
      return most;
    };
    const std::vector<float> blind = last(shown.ids);
    engine->truncate(0);
    engine->set_images(shown.images);
    const std::vector<float> seen = last(shown.ids);
    EXPECT_GT(largest(blind, seen), 0.1f);
    engine->truncate(5);  // within the image
    EXPECT_LE(largest(last(std::span(shown.ids).subspan(5)), seen), 1e-4f) << dialect_name(dialect);
    engine->truncate(3);  // before it
    engine->set_images(nullptr);
    EXPECT_LE(largest(last(std::span(shown.ids).subspan(3)), blind), 1e-4f) << dialect_name(dialect);
  }
}

void encode_black(engine::ImageEncoder& encoder) {
  const std::vector<float> pixels(4 * 1536);
  encoder.encode({1, 1, pixels, {}, {}, {}});
}

// What `open` throws, "" if it does not.
template <typename Open>
std::string error_of(const Open& open) {
  try {
    open();
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

TEST_F(Images, WhatDoesNotFitIsAnError) {
  const test::TemporaryDir dir;
  const fs::path folder = test::export_to(dir, tiny(), test::export_options(Dialect::ort));
  const auto engine = test::open_session(folder);
  const models::Model model = models::Model::open(tiny());
  const int64_t hidden = model.config.hidden_size;
  const size_t levels = model.config.vision->deepstack_visual_indexes.size();
  const auto error_with = [&](int64_t width, size_t count) {
    return error_of([&] { engine->set_images(some_picture(model, width, count).images); });
  };
  EXPECT_NE(error_with(hidden / 2, levels).find(fmt::format("{} values", hidden / 2)), std::string::npos);
  EXPECT_NE(error_with(hidden, levels + 1).find(fmt::format("{} levels", levels + 1)), std::string::npos);
  EXPECT_EQ(error_with(hidden, levels), "");

  // Graphs that stand in each other's place.
  const auto moved = [&](const char* from, const char* to) {
    const test::TemporaryDir other;
    fs::copy(folder, other.path() / "copy");
    fs::copy_file(folder / from, other.path() / "copy" / to, fs::copy_options::overwrite_existing);
    return error_of([&] {
      const ort::ModelFolder opened = ort::ModelFolder::open(other.path() / "copy");
      const std::vector<int64_t> ids{1, 2};
      ort::make_session(opened, test::session_options())->forward(ids);
      encode_black(*ort::make_encoder(opened, test::session_options()));
    });
  };
  EXPECT_EQ(moved(onnx::kTowerFile, onnx::kTowerFile), "");
  EXPECT_NE(moved(onnx::kEmbeddingFile, onnx::kDecoderFile).find("no input \"inputs_embeds\""), std::string::npos);
  EXPECT_NE(moved(onnx::kTowerFile, onnx::kEmbeddingFile).find(onnx::kEmbeddingFile), std::string::npos);
  EXPECT_NE(moved(onnx::kEmbeddingFile, onnx::kTowerFile).find(onnx::kTowerFile), std::string::npos);
}

TEST_F(Images, FilesThatAreMissingOrDamagedAreErrors) {
  const test::TemporaryDir dir;
  const fs::path folder = test::export_to(dir, tiny(), test::export_options(Dialect::ort));
  const auto error = [&] {
    return error_of([&] {
      const ort::ModelFolder opened = ort::ModelFolder::open(folder);
      test::open_session(folder);
      ort::make_encoder(opened, test::session_options());
    });
  };
  EXPECT_EQ(error(), "");
  for (const char* name : {onnx::kEmbeddingFile, onnx::kTowerFile}) {
    const std::string bytes = read_file(folder / name);
    fs::remove(folder / name);
    EXPECT_NE(error().find(name), std::string::npos);
    EXPECT_NE(error().find("is not there"), std::string::npos);
    std::ofstream(folder / name, std::ios::binary) << bytes.substr(0, bytes.size() - 1);
    EXPECT_NE(error().find(name), std::string::npos);
    std::ofstream(folder / name, std::ios::binary) << bytes;
  }
  fs::copy_file(test::data_dir() / "models" / "qwen3-tied" / "config.json", folder / "config.json",
                fs::copy_options::overwrite_existing);
  EXPECT_NE(error().find("has no vision tower"), std::string::npos) << error();
}

TEST_F(Images, FeaturesThatAreNotFiniteAreAnError) {
  const test::TemporaryDir dir;
  const fs::path folder = test::export_to(dir, tiny(), test::export_options(Dialect::ort));
  const auto bytes = fs::file_size(folder / "model.onnx.data");
  std::ofstream(folder / "model.onnx.data", std::ios::binary) << std::string(bytes, '\xff');
  const auto encoder = ort::make_encoder(ort::ModelFolder::open(folder), test::session_options());
  const std::string error = error_of([&] { encode_black(*encoder); });
  EXPECT_NE(error.find("vision_encoder.onnx: what the vision tower makes"), std::string::npos) << error;
}

TEST(ImagesOfText, AFolderWithoutTowerHasNoEncoder) {
  DUAN_NEEDS_ONNX_RUNTIME();
  const test::TemporaryDir dir;
  const fs::path model = test::data_dir() / "models" / "qwen3-tied";
  const ort::ModelFolder folder =
      ort::ModelFolder::open(test::export_to(dir, model, test::export_options(Dialect::ort)));
  EXPECT_THROW(ort::make_encoder(folder, test::session_options()), Error);
  EXPECT_THROW(
      ort::make_session(folder, test::session_options())->set_images(some_picture(models::Model::open(tiny())).images),
      Error);
}

// The tower stays as it is, in the checkpoint's dtype; linears of the decoder are 4-bit.
TEST(QuantizedImages, StayCloseToTransformers) {
  DUAN_NEEDS_ONNX_RUNTIME();
  DUAN_NEEDS_REFERENCE();
  const fs::path root = *test::reference_dir() / "golden" / "awq" / "qwen3vl";
  const models::Model model = models::Model::open(root / "awq_w4a16_sym_bf16");
  const checkpoint::SafetensorsFile golden(root / "awq_w4a16_sym_bf16_ref.safetensors");
  const auto read = [&]<typename T>(const char* name, T) {
    const auto tensor = golden.find(name);
    std::vector<T> values(tensor->bytes / sizeof(T));
    std::memcpy(values.data(), tensor->data, tensor->bytes);
    return values;
  };
  const auto ids = read("image_input_ids", int64_t{}), grid = read("image_grid_thw", int64_t{});
  const auto pixels = read("pixel_values", float{}), expected = read("image_logits", float{});
  for (const Dialect dialect : kDialects) {
    const test::TemporaryDir dir;
    const ort::ModelFolder folder =
        ort::ModelFolder::open(test::export_to(dir, model.folder, test::export_options(dialect)));
    const auto encoder = ort::make_encoder(folder, test::session_options());
    const auto engine = ort::make_session(folder, test::session_options());
    const engine::SequenceImages::Kind kinds[] = {
        {model.config.image_tokens->image,
         {std::make_shared<engine::ImageFeatures>(encoder->encode({grid[1] / 2, grid[2] / 2, pixels, {}, {}, {}}))}}};
    engine->set_images(std::make_shared<engine::SequenceImages>(engine::SequenceImages::place(ids, kinds)));
    double error = 0, norm = 0;
    engine->forward_all(ids, [&](int64_t token, std::span<const float> logits) {
      for (size_t i = 0; i < logits.size(); ++i) {
        const double value = expected[static_cast<size_t>(token) * logits.size() + i];
        error += (logits[i] - value) * (logits[i] - value);
        norm += value * value;
      }
    });
    // MatMulNBits of dialect ort rounds its inputs to int8, as the file tells it to.
    EXPECT_LE(std::sqrt(error / norm), dialect == Dialect::ort ? 5e-2 : 1e-4) << dialect_name(dialect);
    EXPECT_GT(norm, 1);
  }
}

}  // namespace
}  // namespace duan
