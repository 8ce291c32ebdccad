#include "vision/positions.h"

#include <gtest/gtest.h>

#include "vision/support.h"

namespace duan::vision {
namespace {

TEST(Positions, AgreeWithTransformersBitForBit) {
  for (const Json& row : test::vision_json("positions.json")) {
    SCOPED_TRACE(to_text(row));
    const Grid grid{row["grid"][0], row["grid"][1], row["grid"][2]};
    const TableRows table = interpolate_table(grid, row["side"], row["merge"]);
    EXPECT_EQ(test::crc32_of(patch_positions(grid, row["merge"])), row["positions"]);
    EXPECT_EQ(test::crc32_of(table.rows), row["rows"]);
    EXPECT_EQ(test::crc32_of(table.weights), row["weights"]);
  }
}

TEST(Positions, GoBlockByBlock) {
  EXPECT_EQ(patch_positions({1, 2, 4}, 2), (std::vector<int64_t>{0, 0, 0, 1, 1, 0, 1, 1, 0, 2, 0, 3, 1, 2, 1, 3}));
}

TEST(Positions, ATableOfTheGridsOwnSizeIsTakenAsItIs) {
  const TableRows table = interpolate_table({1, 6, 6}, 6, 2);
  const std::vector<int64_t> positions = patch_positions({1, 6, 6}, 2);
  for (size_t patch = 0; patch < 36; ++patch) {
    EXPECT_EQ(table.rows[patch * 4], positions[patch * 2] * 6 + positions[patch * 2 + 1]);
    EXPECT_EQ(table.weights[patch * 4], 1);
  }
}

TEST(Positions, WeightsSumToOne) {
  const TableRows table = interpolate_table({1, 14, 250}, 48, 2);
  for (size_t at = 0; at < table.weights.size(); at += 4) {
    float sum = 0;
    for (size_t i = 0; i < 4; ++i) {
      sum += table.weights[at + i];
      EXPECT_GE(table.weights[at + i], 0);
      EXPECT_TRUE(table.rows[at + i] >= 0 && table.rows[at + i] < 48 * 48);
    }
    EXPECT_NEAR(sum, 1, 1e-6);
  }
}

}  // namespace
}  // namespace duan::vision
