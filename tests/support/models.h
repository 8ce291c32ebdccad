// The tiny models with reference outputs under tests/data/models.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "support/paths.h"

namespace duan::test {

inline std::vector<std::filesystem::path> tiny_models() {
  std::vector<std::filesystem::path> folders;
  for (const auto& entry : std::filesystem::directory_iterator(data_dir() / "models")) {
    if (std::filesystem::exists(entry.path() / "model.safetensors")) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

inline std::vector<std::filesystem::path> goldens(const std::filesystem::path& model) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(model / "goldens")) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace duan::test
