#include "eval/predicted.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace duan::eval {
namespace {

using Positions = std::vector<int64_t>;

TEST(Predicted, WithoutPositionsAllTokensButTheFirst) {
  EXPECT_EQ(predicted_positions({}, 7, 4), (Positions{1, 2, 3}));
  EXPECT_EQ(predicted_positions({}, 0, 1), Positions{});
  EXPECT_EQ(predicted_positions({}, 0, 0), Positions{});
}

TEST(Predicted, PositionsAreThoseOfTheSequence) {
  const Predicted predicted = {{1, 3}, {}};
  EXPECT_EQ(predicted_positions(predicted, 0, 4), (Positions{1, 3}));
  EXPECT_EQ(predicted_positions(predicted, 1, 4), Positions{});
}

TEST(Predicted, PositionsThatAreNoneOfTheSequenceAreABug) {
  EXPECT_THROW(predicted_positions({{1}}, 1, 4), InternalError);
  for (const Positions& wrong : {Positions{0}, Positions{4}, Positions{2, 2}, Positions{2, 1}}) {
    EXPECT_THROW(predicted_positions({wrong}, 0, 4), InternalError);
  }
}

}  // namespace
}  // namespace duan::eval
