// Which implementation of an operation runs: the first of an ordered list that fits the task and the machine.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/cpu.h"

namespace duan::kernels {

// One entry of an operation's list, as far as the choice is concerned.
struct Candidate {
  std::string_view name;
  Isa needs;
  bool fits;  // takes these element types and sizes
};

// A list entry that was not chosen and why, for `duan inspect --kernels`.
struct Rejection {
  std::string name, reason;
};

// The index of the entry to run. The environment's DUAN_KERNEL ("linear:ref,attention:plain") forces one per operation.
// Throws Error if the forced one is unknown, does not fit or does not run here. `task` describes the operands.
size_t choose(std::string_view operation, std::span<const Candidate> candidates, std::string_view task);

// Every entry that was not chosen, in the list's order. Throws as choose does.
std::vector<Rejection> explain(std::string_view operation, std::span<const Candidate> candidates,
                               std::string_view task);

}  // namespace duan::kernels
