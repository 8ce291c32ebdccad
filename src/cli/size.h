// Sizes on the command line.
#pragma once

#include <cstdint>
#include <string>

namespace duan::cli {

// "5GB", "300MB", "2048". Throws Error naming the flag.
uint64_t parse_size(const std::string& text, const std::string& flag);

}  // namespace duan::cli
