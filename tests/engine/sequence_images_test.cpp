#include "engine/sequence_images.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "support/paths.h"

namespace duan::engine {
namespace {

std::shared_ptr<const ImageFeatures> image(int64_t rows, int64_t columns) {
  ImageFeatures features{rows, columns, 1, {}, {}};
  features.embeds.resize(static_cast<size_t>(rows * columns));
  return std::make_shared<const ImageFeatures>(std::move(features));
}

using Position = std::array<int64_t, 3>;

TEST(SequenceImages, TextCountsOnAndImagesCountByRowAndColumn) {
  // Two tokens of text, an image of 2 x 3, text.
  const SequenceImages images({{2, image(2, 3)}});
  EXPECT_EQ(images.position(1), (Position{1, 1, 1}));
  EXPECT_EQ(images.position(2), (Position{2, 2, 2}));
  EXPECT_EQ(images.position(4), (Position{2, 2, 4}));
  EXPECT_EQ(images.position(5), (Position{2, 3, 2}));
  EXPECT_EQ(images.position(8), (Position{5, 5, 5}));  // one beyond the largest coordinate
  EXPECT_EQ(images.position(100), (Position{97, 97, 97}));
}

TEST(SequenceImages, KnowsWhichRowStandsWhere) {
  const auto first = image(1, 2), second = image(2, 1);
  const SequenceImages images({{1, first}, {4, second}});
  EXPECT_EQ(images.row(0).first, nullptr);
  EXPECT_EQ(images.row(2), std::pair(first.get(), int64_t{1}));
  EXPECT_EQ(images.row(3).first, nullptr);
  EXPECT_EQ(images.row(5), std::pair(second.get(), int64_t{1}));
  EXPECT_EQ(images.row(6).first, nullptr);
}

TEST(SequenceImages, GivesThePositionsOfTransformers) {
  DUAN_NEEDS_REFERENCE();
  const auto file = *test::reference_dir() / "golden/models/goldens/qwen3-vl/mrope_positions.json";
  const Json json = read_json(file);
  const int64_t merge = json.at("spatial_merge_size");
  ASSERT_GE(json.at("cases").size(), 30u);
  for (const Json& layout : json.at("cases")) {
    std::vector<SequenceImages::Image> images;
    int64_t index = 0;
    size_t next = 0;
    for (const Json& run : layout.at("token_types_runs")) {
      const int64_t type = run.at(0), count = run.at(1);
      if (type == 1) {
        const Json& grid = layout.at("image_grid_thw").at(next++);
        images.push_back({index, image(grid.at(1).get<int64_t>() / merge, grid.at(2).get<int64_t>() / merge)});
        ASSERT_EQ(images.back().features->tokens(), count);
      }
      index += count;
    }
    const SequenceImages sequence(std::move(images));
    for (int64_t i = 0; i < index; ++i) {
      for (size_t axis = 0; axis < 3; ++axis) {
        ASSERT_EQ(sequence.position(i)[axis],
                  layout.at("position_ids").at(axis).at(static_cast<size_t>(i)).get<int64_t>())
            << i << " axis " << axis;
      }
    }
    EXPECT_EQ(sequence.position(index)[0] - index, layout.at("rope_delta").get<int64_t>());
  }
}

std::string error_of(std::span<const int64_t> ids, const std::vector<SequenceImages::Kind>& kinds) {
  try {
    SequenceImages::place(ids, kinds);
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

TEST(SequenceImages, PlacesEachKindWhereItsTokenIsRepeated) {
  const auto still = image(1, 2), frame = image(1, 1);
  const std::vector<int64_t> ids = {5, 8, 8, 9, 7, 9};
  const SequenceImages placed =
      SequenceImages::place(ids, std::array{SequenceImages::Kind{8, {still}}, SequenceImages::Kind{9, {frame, frame}}});
  ASSERT_EQ(placed.images().size(), 3u);
  EXPECT_EQ(placed.row(2), std::pair(still.get(), int64_t{1}));
  EXPECT_EQ(placed.row(3), std::pair(frame.get(), int64_t{0}));
  EXPECT_EQ(placed.images()[2].first, 5);
}

TEST(SequenceImages, RefusesOtherNumbersOfTokensOrImages) {
  const std::vector<int64_t> ids = {5, 8, 8, 6};
  EXPECT_EQ(error_of(ids, {{8, {image(1, 3)}}}), "the image at token 1 has 3 tokens, the sequence keeps 2 for it");
  EXPECT_EQ(error_of(ids, {{8, {}}}), "token 8 stands for an image at 1, but there are only 0");
  EXPECT_EQ(error_of(ids, {{8, {image(1, 2), image(1, 2)}}}), "the sequence has 1 places for 2 images");
  EXPECT_EQ(error_of(ids, {{8, {image(2, 1)}}}), "");
}

}  // namespace
}  // namespace duan::engine
