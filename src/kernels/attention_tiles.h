// Sizes that the blocked attention kernels and their callers' scratch share.
#pragma once

#include <cstdint>

namespace duan::kernels {

constexpr int64_t kPositionBlock = 128;  // positions per step of the online softmax, aligned to position 0
constexpr int64_t kQueryGroup = 48;      // queries that pass over a block while it is in the cache
constexpr int64_t kPairGroup = 144;      // the same, where a block is laid out anew for them
constexpr int64_t kTotals = 16;          // lanes of the widest vector

}  // namespace duan::kernels
