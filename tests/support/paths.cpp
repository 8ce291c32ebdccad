#include "support/paths.h"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace duan::test {
namespace {
std::filesystem::path from_environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) throw std::runtime_error(std::string(name) + " is not set: run the tests with ctest");
  return value;
}
}  // namespace

std::filesystem::path source_dir() { return from_environment("DUAN_SOURCE_DIR"); }
std::filesystem::path data_dir() { return source_dir() / "tests" / "data"; }
std::filesystem::path duan_binary() { return from_environment("DUAN_BIN"); }

std::optional<std::filesystem::path> reference_dir() {
  const char* value = std::getenv("DUAN_REFERENCE_DIR");
  if (value == nullptr || !std::filesystem::is_directory(value)) return std::nullopt;
  return value;
}

TemporaryDir::TemporaryDir() {
  std::string name = (std::filesystem::temp_directory_path() / "duan-test-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  path_ = name;
}

TemporaryDir::~TemporaryDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace duan::test
