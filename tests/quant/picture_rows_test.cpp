#include "quant/picture_rows.h"

#include <gtest/gtest.h>

#include "ir/subgraph.h"
#include "models/model.h"
#include "quant/pictures.h"
#include "support/paths.h"

namespace duan::quant {
namespace {

// Numbers that are in memory: of the embeddings, and of each level.
std::vector<size_t> sizes(const CalibrationSet& set) {
  std::vector<size_t> sizes{0};
  for (const CalibrationPicture& picture : set.pictures) {
    sizes[0] += picture.features->embeds.size();
    sizes.resize(std::max(sizes.size(), picture.features->deepstack.size() + 1));
    for (size_t i = 0; i < picture.features->deepstack.size(); ++i)
      sizes[i + 1] += picture.features->deepstack[i].size();
  }
  return sizes;
}

TEST(PictureRows, AreThereForTheBlocksThatReadThemAndNoLonger) {
  const models::Model model = models::Model::open(test::source_dir() / "models/demo");  // two levels of deepstack
  const std::vector<Block> blocks = find_blocks(model.graph);
  const CalibrationSet set = test::samples_with_pictures(3058);
  test::MadeUpPictures reader;
  reader.levels = 2;
  PictureRows rows(model.graph, blocks, &set, &reader);
  EXPECT_EQ(sizes(set), std::vector<size_t>{0});
  using Sizes = std::vector<size_t>;
  // Block 0 looks ids up, 1 begins with the embeddings; 3 and 6 are the sums with what follows layers 0 and 1.
  const std::vector<Sizes> expected = {{32, 32, 32}, {32, 32, 32}, {0, 32, 32}, {0, 32, 32},
                                       {0, 0, 32},   {0, 0, 32},   {0, 0, 32},  {0, 0, 0}};
  for (size_t block = 0; block < expected.size(); ++block) {
    rows.prepare(block, {});
    EXPECT_EQ(sizes(set), expected[block]) << blocks[block].name;
    rows.release(block);
  }
  EXPECT_EQ(reader.encoded, 2);
}

TEST(PictureRows, ARunThatGoesOnMakesOnlyWhatIsStillRead) {
  const models::Model model = models::Model::open(test::source_dir() / "models/demo");
  const std::vector<Block> blocks = find_blocks(model.graph);
  const CalibrationSet set = test::samples_with_pictures(3058);
  test::MadeUpPictures reader;
  reader.levels = 2;
  PictureRows late(model.graph, blocks, &set, &reader);
  late.prepare(7, {});
  EXPECT_EQ(reader.encoded, 0);
  PictureRows rows(model.graph, blocks, &set, &reader);
  std::vector<size_t> seen;
  rows.prepare(4, [&](size_t done, size_t total) {
    seen.push_back(done);
    EXPECT_EQ(total, 2u);
  });
  EXPECT_EQ(seen, (std::vector<size_t>{1, 2}));
  EXPECT_EQ(sizes(set), (std::vector<size_t>{0, 0, 32}));
}

TEST(PictureRows, NameTheSampleAndThePictureThatFail) {
  class Broken final : public PictureReader {
    std::vector<std::filesystem::path> files_of(const Json&, const std::filesystem::path&,
                                                const std::string&) const override {
      return {};
    }
    std::vector<Placed> place(std::vector<int64_t>&, const std::vector<std::filesystem::path>&) override { return {}; }
    engine::ImageFeatures encode(const CalibrationPicture&) override { throw Error("is gone", "somewhere"); }
  } broken;
  const models::Model model = models::Model::open(test::source_dir() / "models/demo");
  const CalibrationSet set = test::samples_with_pictures(3058);
  PictureRows rows(model.graph, find_blocks(model.graph), &set, &broken);
  try {
    rows.prepare(0, {});
    ADD_FAILURE() << "not refused";
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "pictures.jsonl:1, picture 2.png: is gone");
  }
}

}  // namespace
}  // namespace duan::quant
