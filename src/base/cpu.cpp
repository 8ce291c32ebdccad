#include "base/cpu.h"

#include <sched.h>

#include <cstdlib>
#include <fstream>

#include "base/error.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace duan {
namespace {
constexpr Isa kAll[] = {Isa::plain, Isa::avx2, Isa::avx_vnni, Isa::avx512, Isa::avx512_vnni, Isa::avx512_bf16};

#if defined(__x86_64__)
// clang 14's __builtin_cpu_supports does not know f16c.
bool cpu_has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

// Nor does it know avxvnni: bit 4 of eax, leaf 7, subleaf 1.
bool cpu_has_avx_vnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & 1u << 4) != 0;
}
#endif
}  // namespace

std::string_view isa_name(Isa isa) {
  switch (isa) {
    case Isa::plain:
      return "plain";
    case Isa::avx2:
      return "avx2";
    case Isa::avx_vnni:
      return "avx_vnni";
    case Isa::avx512:
      return "avx512";
    case Isa::avx512_vnni:
      return "avx512_vnni";
    case Isa::avx512_bf16:
      return "avx512_bf16";
  }
  return "?";
}

bool cpu_has(Isa isa) {
#if defined(__x86_64__)
  // The builtin also asks the operating system (XCR0) whether it saves the wide registers.
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && cpu_has_f16c();
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  switch (isa) {
    case Isa::plain:
      return true;
    case Isa::avx2:
      return avx2;
    case Isa::avx_vnni:
      return avx2 && cpu_has_avx_vnni();
    case Isa::avx512:
      return avx512;
    case Isa::avx512_vnni:
      return avx512 && __builtin_cpu_supports("avx512vnni");
    case Isa::avx512_bf16:
      return avx512 && __builtin_cpu_supports("avx512bf16");
  }
  return false;
#else
  return isa == Isa::plain;
#endif
}

bool isa_allowed(Isa isa) {
  if (!cpu_has(isa)) return false;
  const char* cap = std::getenv("DUAN_ISA");
  if (cap == nullptr || *cap == '\0') return true;
  for (const Isa known : kAll) {
    if (isa_name(known) == cap) return isa <= known;
  }
  throw Error(fmt::format("\"{}\" is not an instruction set", printable(cap)), "DUAN_ISA",
              "use plain, avx2, avx_vnni, avx512, avx512_vnni or avx512_bf16");
}

std::vector<Isa> cpu_isas() {
  std::vector<Isa> found;
  for (const Isa isa : kAll) {
    if (cpu_has(isa)) found.push_back(isa);
  }
  return found;
}

std::string cpu_model_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("model name")) {
      const size_t colon = line.find(": ");
      return colon == std::string::npos ? "" : line.substr(colon + 2);
    }
  }
  return "";
}

int cpu_count() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return 1;
}

}  // namespace duan
