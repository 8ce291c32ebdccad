// What the processor can do, and the ceiling the user set on it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace duan {

// Instruction sets kernels are written for, in ascending order of preference within one processor family.
enum class Isa { plain, avx2, avx_vnni, avx512, avx512_vnni, avx512_bf16 };

std::string_view isa_name(Isa isa);

// True if this processor and operating system run `isa`, whatever the user capped.
bool cpu_has(Isa isa);

// cpu_has, and not above the environment's DUAN_ISA (one of the names above).
// Throws Error if DUAN_ISA is none of these.
bool isa_allowed(Isa isa);

std::vector<Isa> cpu_isas();   // all that cpu_has
std::string cpu_model_name();  // "AMD EPYC …", "" if unknown
int cpu_count();               // processors this process may run on

}  // namespace duan
