#include "tensor/shape.h"

#include <gtest/gtest.h>

namespace duan {
namespace {

TEST(Shape, CountsElementsWithoutOverflow) {
  EXPECT_EQ(element_count({}), 1);
  EXPECT_EQ(element_count({2, 3, 4}), 24);
  EXPECT_EQ(element_count({int64_t{1} << 31, int64_t{1} << 31}), int64_t{1} << 62);
  EXPECT_EQ(element_count({int64_t{1} << 32, int64_t{1} << 31}), std::nullopt);
  EXPECT_EQ(element_count({-1, 4}), std::nullopt);
}

TEST(Shape, AnEmptyShapeWhoseOtherExtentsOverflowIsRefused) {
  EXPECT_EQ(element_count({0, 5}), 0);
  EXPECT_EQ(element_count({int64_t{1} << 40, 0, int64_t{1} << 40}), std::nullopt);
}

TEST(Shape, IsWrittenInBrackets) {
  EXPECT_EQ(to_string(Shape{2048, 6144}), "[2048, 6144]");
  EXPECT_EQ(to_string(Shape{}), "[]");
}

}  // namespace
}  // namespace duan
