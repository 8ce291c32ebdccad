// Broken files, and what reading them says.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "base/error.h"

namespace duan::test {

inline void write_bytes(const std::filesystem::path& file, std::string_view bytes) {
  std::ofstream(file, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
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

}  // namespace duan::test
