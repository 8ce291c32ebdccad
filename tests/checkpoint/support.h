// Building files, whole and broken.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "support/errors.h"

namespace duan::checkpoint::test {

using duan::test::error_of;
using duan::test::is_good_message;
using duan::test::write_bytes;

// 8 length bytes, the header, data_bytes zeros.
inline std::string safetensors_bytes(std::string_view header, size_t data_bytes) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>(static_cast<uint64_t>(header.size()) >> (8 * i) & 0xFF);
  return out.append(header).append(data_bytes, '\0');
}

}  // namespace duan::checkpoint::test
