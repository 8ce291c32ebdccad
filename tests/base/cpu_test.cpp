#include "base/cpu.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.h"

namespace duan {
namespace {

// DUAN_ISA for the life of the object, then as it was.
class IsaVariable {
 public:
  explicit IsaVariable(const char* value) : old_(std::getenv("DUAN_ISA") == nullptr ? "" : std::getenv("DUAN_ISA")) {
    ::setenv("DUAN_ISA", value, 1);
  }
  ~IsaVariable() { ::setenv("DUAN_ISA", old_.c_str(), 1); }

 private:
  std::string old_;
};

TEST(Cpu, EveryProcessorRunsPlainCode) {
  EXPECT_TRUE(cpu_has(Isa::plain));
  EXPECT_EQ(cpu_isas().front(), Isa::plain);
  EXPECT_GE(cpu_count(), 1);
}

TEST(Cpu, AWiderSetImpliesTheNarrowerOnes) {
  EXPECT_TRUE(!cpu_has(Isa::avx512_bf16) || cpu_has(Isa::avx512));
  EXPECT_TRUE(!cpu_has(Isa::avx512_vnni) || cpu_has(Isa::avx512));
  EXPECT_TRUE(!cpu_has(Isa::avx512) || cpu_has(Isa::avx2));
  EXPECT_TRUE(!cpu_has(Isa::avx_vnni) || cpu_has(Isa::avx2));
}

TEST(Cpu, ObeysTheCeilingOfTheEnvironment) {
  const IsaVariable variable("plain");
  EXPECT_TRUE(isa_allowed(Isa::plain));
  EXPECT_FALSE(isa_allowed(Isa::avx2));
  EXPECT_FALSE(isa_allowed(Isa::avx512_bf16));
}

TEST(Cpu, AnEmptyCeilingIsNone) {
  const IsaVariable variable("");
  for (const Isa isa : cpu_isas()) EXPECT_TRUE(isa_allowed(isa)) << isa_name(isa);
}

TEST(Cpu, RefusesAnUnknownCeiling) {
  const IsaVariable variable("sse9");
  EXPECT_THROW(isa_allowed(Isa::plain), Error);
}

}  // namespace
}  // namespace duan
