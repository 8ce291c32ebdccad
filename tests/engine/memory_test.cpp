#include "engine/memory.h"

#include <gtest/gtest.h>

#include <utility>

namespace duan::engine {
namespace {

TEST(ZeroedMemory, IsZeroAlignedAndMovable) {
  ZeroedMemory memory(100'000);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.data()) % 64, 0u);
  for (size_t i = 0; i < memory.bytes(); ++i) ASSERT_EQ(memory.data()[i], std::byte{0});
  std::byte* data = memory.data();
  ZeroedMemory moved = std::move(memory);
  EXPECT_EQ(moved.data(), data);
  EXPECT_EQ(moved.bytes(), 100'000u);
}

TEST(Memory, UntouchedPagesAreNotResident) {
  const int64_t before = peak_resident();
  const ZeroedMemory memory(size_t{1} << 30);
  memory.data()[12345] = std::byte{1};
  EXPECT_LT(peak_resident() - before, int64_t{64} << 20);
  EXPECT_GT(physical_memory(), int64_t{64} << 20);
}

}  // namespace
}  // namespace duan::engine
