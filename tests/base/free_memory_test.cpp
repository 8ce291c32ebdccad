#include "base/free_memory.h"

#include <gtest/gtest.h>

namespace duan {
namespace {

TEST(FreeMemory, KeepsNoCapacity) {
  std::vector<int> numbers(1000, 7);
  numbers = {};
  EXPECT_GE(numbers.capacity(), 1000u);  // why it is there
  free_memory(numbers);
  EXPECT_EQ(numbers.capacity(), 0u);
}

}  // namespace
}  // namespace duan
