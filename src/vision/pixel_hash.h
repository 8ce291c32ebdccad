// What two pictures must have in common to share what was computed for one of them.
#pragma once

#include <cstdint>
#include <span>

#include "vision/image.h"

namespace duan::vision {

// Of size, pixels and `mode` (what is done with them), by SipHash-1-3 with a key drawn when the program starts: nobody
// who sends pictures can make two that are equal here. Another run of the program gives other values.
uint64_t pixel_hash(const Image& image, uint64_t mode);

// SipHash-1-3 of `bytes`.
uint64_t siphash13(uint64_t key0, uint64_t key1, std::span<const uint8_t> bytes);

}  // namespace duan::vision
