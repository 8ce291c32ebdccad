// Building files, whole and broken, and catching what reading them says.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "base/error.h"

namespace duan::checkpoint::test {

inline void write_bytes(const std::filesystem::path& file, std::string_view bytes) {
  std::ofstream(file, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// 8 length bytes, the header, data_bytes zeros.
inline std::string safetensors_bytes(std::string_view header, size_t data_bytes) {
  std::string out;
  for (int i = 0; i < 8; ++i) out += static_cast<char>(static_cast<uint64_t>(header.size()) >> (8 * i) & 0xFF);
  return out.append(header).append(data_bytes, '\0');
}

// what() of the Error that `function` throws; "" if it throws none. Anything else escapes and fails the test.
template <typename Function>
std::string error_of(Function&& function) {
  try {
    function();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

// A message of the command line: one line, naming the file, saying the cause.
inline bool is_good_message(const std::string& what, const std::string& file, const std::string& cause) {
  return what.find('\n') == std::string::npos && what.find(file) != std::string::npos &&
         what.find(cause) != std::string::npos && what.size() < 1000;
}

}  // namespace duan::checkpoint::test
